//! Installing what the tests need, where that is possible.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use prospect_testing::{root, supports_32_bit, tool};

/// A program that tests run, and the Debian package that has it.
const TOOLS: &[(&str, &str)] = &[
    ("gcc", "gcc"),
    ("g++", "g++"),
    ("clang", "clang"),
    ("llvm-dwp", "llvm"),
    ("musl-gcc", "musl-tools"),
    ("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
    ("arm-linux-gnueabihf-gcc", "gcc-arm-linux-gnueabihf"),
    ("arm-linux-gnueabihf-g++", "g++-arm-linux-gnueabihf"),
    ("powerpc64le-linux-gnu-gcc", "gcc-powerpc64le-linux-gnu"),
    ("powerpc64-linux-gnu-gcc", "gcc-powerpc64-linux-gnu"),
    ("powerpc-linux-gnu-gcc", "gcc-powerpc-linux-gnu"),
    ("s390x-linux-gnu-gcc", "gcc-s390x-linux-gnu"),
    ("qemu-arm", "qemu-user"),
    ("gdb-multiarch", "gdb-multiarch"),
    ("go", "golang-go"),
    ("objcopy", "binutils"),
    ("xz", "xz-utils"),
    ("zstd", "zstd"),
    ("pzstd", "zstd"),
    ("dwz", "dwz"),
    ("debuginfod", "debuginfod"),
    ("debuginfod-find", "debuginfod"),
    ("gdb", "gdb"),
    ("dlv", "delve"),
    ("eu-stack", "elfutils"),
    ("strace", "strace"),
    ("python3", "python3"),
    ("node", "nodejs"),
    ("redis-server", "redis-server"),
    ("redis-benchmark", "redis-tools"),
    ("nginx", "nginx-light"),
    ("unshare", "util-linux"),
    ("setpriv", "util-linux"),
    ("script", "bsdutils"),
    ("openssl", "openssl"),
];

/// A compiler of another machine that tests run, and the Debian package with the C library for it, which it only recommends.
const C_LIBRARIES: &[(&str, &str)] = &[
    ("aarch64-linux-gnu", "libc6-dev-arm64-cross"),
    ("powerpc64le-linux-gnu", "libc6-dev-ppc64el-cross"),
    ("powerpc64-linux-gnu", "libc6-dev-ppc64-cross"),
    ("powerpc-linux-gnu", "libc6-dev-powerpc-cross"),
    ("s390x-linux-gnu", "libc6-dev-s390x-cross"),
];

/// Installs what is missing when this is Debian or Ubuntu and we may; says what is still missing.
pub(crate) fn install() {
    let mut packages: Vec<String> = TOOLS
        .iter()
        .filter(|(name, _)| tool(name).is_err())
        .map(|(_, package)| (*package).to_owned())
        .collect();
    let is_missing = |machine: &str| !Path::new("/usr").join(machine).join("include/stdio.h").exists();
    let libraries = C_LIBRARIES.iter().filter(|(machine, _)| is_missing(machine));
    packages.extend(libraries.map(|(_, package)| (*package).to_owned()));
    if supports_32_bit().is_err() {
        packages.push("libc6-dev-i386".to_owned());
        packages.push(format!("lib32gcc-{}-dev", gcc_version()));
    }
    if packages.is_empty() {
        return;
    }
    packages.dedup();
    let Some(mut apt) = apt_get() else {
        println!("missing on this machine, and it is not ours to install: {}", packages.join(" "));
        return;
    };
    println!("installing {}", packages.join(" "));
    let _ = apt.arg("update").stdout(Stdio::null()).status();
    // Name by name when the whole list fails: one missing package must not cost all the others.
    if !install_packages(&packages) {
        for package in &packages {
            if !install_packages(std::slice::from_ref(package)) {
                println!("cannot install {package}");
            }
        }
    }
}

fn install_packages(packages: &[String]) -> bool {
    let Some(mut apt) = apt_get() else { return false };
    // Run level 1 keeps the packages' services from being started.
    apt.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1");
    apt.args(["install", "--yes", "--no-install-recommends"]).args(packages);
    apt.stdin(Stdio::null()).stdout(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// `apt-get`, if there is one and we may use it without being asked.
fn apt_get() -> Option<Command> {
    tool("apt-get").ok()?;
    if root().is_ok() {
        return Some(Command::new("apt-get"));
    }
    let may = Command::new("sudo").args(["-n", "true"]).stderr(Stdio::null()).status();
    if !may.is_ok_and(|status| status.success()) {
        return None;
    }
    let mut sudo = Command::new("sudo");
    sudo.args(["-n", "--preserve-env=DEBIAN_FRONTEND,RUNLEVEL", "apt-get"]);
    Some(sudo)
}

fn gcc_version() -> String {
    let said = Command::new("gcc").arg("-dumpversion").output();
    let said =
        said.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    let major = said.split('.').next().unwrap_or_default().to_owned();
    if major.is_empty() { "12".to_owned() } else { major }
}
