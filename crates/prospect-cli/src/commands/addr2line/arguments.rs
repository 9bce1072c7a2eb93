//! The command line before it is read: `@FILE`s in it, and letters that mean something else in the other style.

use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
};

use clap::{ArgAction, Command};

use super::COMMAND;
use crate::exit::{Failure, Result};

/// Files that name each other are not read for ever; binutils has the same bound.
const MOST_FILES: usize = 2000;

/// Puts the arguments that files hold where `@FILE` stands, as binutils' programs do it; elfutils' do not. What is not such a file
/// stays as it is.
///
/// # Errors
/// When a directory is named so, or far too many files.
pub(crate) fn expand(arguments: impl Iterator<Item = OsString>) -> Result<Vec<OsString>> {
    let mut left: Vec<OsString> = arguments.collect();
    if left.get(1).is_none_or(|name| name != COMMAND) || is_elfutils(&left) {
        return Ok(left);
    }
    left.reverse();
    let (mut expanded, mut files) = (Vec::new(), 0);
    while let Some(argument) = left.pop() {
        let Some(path) = argument.as_bytes().strip_prefix(b"@").map(OsStr::from_bytes) else {
            expanded.push(argument);
            continue;
        };
        if fs::metadata(path).is_ok_and(|file| file.is_dir()) {
            return Err(Failure::failed(format_args!("@{}: it is a directory", path.display())));
        }
        files += 1;
        if files > MOST_FILES {
            return Err(Failure::failed("too many @FILEs: they may name each other"));
        }
        match fs::read(path) {
            // Files may be named in files.
            Ok(text) => left.extend(words(&text).into_iter().rev()),
            Err(_) => expanded.push(argument),
        }
    }
    Ok(expanded)
}

/// Arguments parted by blanks, as binutils reads them: `'…'` and `"…"` hold blanks, and behind `\` stands anything.
fn words(text: &[u8]) -> Vec<OsString> {
    let (mut words, mut word) = (Vec::new(), None::<Vec<u8>>);
    let mut quote = None;
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        let is_blank = byte.is_ascii_whitespace() || byte == 0x0b;
        match (quote, byte) {
            (_, b'\\') => word.get_or_insert_default().extend(bytes.next()),
            (Some(open), _) if byte == open => quote = None,
            (None, b'\'' | b'"') => {
                quote = Some(byte);
                word.get_or_insert_default();
            }
            (None, _) if is_blank => words.extend(word.take()),
            _ => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    words.into_iter().map(OsString::from_vec).collect()
}

/// Gives `-p` the meaning that it has in the style that is asked for.
pub(crate) fn adapt(command: Command, arguments: &[OsString]) -> Command {
    if !is_elfutils(arguments) {
        return command;
    }
    command.mut_subcommand(COMMAND, |this| {
        this.defer(|this| {
            let this = <super::Args as clap::Args>::augment_args(this);
            this.mut_arg("pretty_print", |arg| arg.short(None))
                .mut_arg("pid", |arg| arg.short('p').action(ArgAction::Set))
        })
    })
}

fn is_elfutils(arguments: &[OsString]) -> bool {
    let is_eu = |style: &OsString| style == "eu" || style == "elfutils";
    arguments.windows(2).any(|pair| pair[0] == "--style" && is_eu(&pair[1]))
        || arguments.iter().any(|one| one == "--style=eu" || one == "--style=elfutils")
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn words_are_parted_as_binutils_parts_them() {
        let of = |text: &str| words(text.as_bytes());
        assert_eq!(of(" -f\t-i\n0x10 "), ["-f", "-i", "0x10"]);
        assert_eq!(of(r#"'a b' "c'd" e\ f g\\ '' x"y"z"#), ["a b", "c'd", "e f", r"g\", "", "xyz"]);
        assert_eq!(of(r#""open a"#), ["open a"]);
        assert_eq!(of(r"'a\'b' c\"), ["a'b", "c"]);
        assert!(of(" \n").is_empty());
    }
}
