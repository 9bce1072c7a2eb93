//! ELF cores: what the kernel writes of a process that crashed (`fs/binfmt_elf.c`), and what debuggers write in its form.
