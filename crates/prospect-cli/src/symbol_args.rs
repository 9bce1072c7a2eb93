//! Where names come from: the arguments of all subcommands that name addresses.

use std::{path::PathBuf, sync::Arc, time::Duration};

use prospect::{
    debuginfod::{Debuginfod, DebuginfodOptions, system_urls},
    symbols::{DebugFileServer, SearchOptions, cache_directory},
};

use crate::{
    downloads,
    exit::{Failure, Result},
};

/// Whether files are fetched from servers, where the user wants any to be asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fetch {
    /// However long it takes.
    Unhurried,
    /// In so much time for all of them: somebody waits for what can be had without.
    Within(Duration),
    /// Not now: what was fetched before is found.
    Never,
}

/// The arguments that say where binaries and their debug files are.
#[derive(clap::Args, Debug)]
pub(crate) struct SymbolArgs {
    /// Take this file for the executable.
    #[arg(long, value_name = "FILE")]
    exe: Option<PathBuf>,

    #[command(flatten)]
    files: SearchArgs,
}

/// The same without the executable: where that is what the command is about.
#[derive(clap::Args, Debug)]
pub(crate) struct SearchArgs {
    /// Look for the process's files below this directory.
    #[arg(long, value_name = "DIR")]
    sysroot: Option<PathBuf>,

    /// Look for separate debug files here first; may be given several times.
    #[arg(long, value_name = "DIR")]
    debug_dir: Vec<PathBuf>,

    /// Look for symbol files of Breakpad here (DIR/NAME/BUILD/NAME.sym), as in the directories of --debug-dir; may be given
    /// several times.
    #[arg(long, value_name = "DIR")]
    symbol_dir: Vec<PathBuf>,

    /// Ask this symbol server for symbol files of Breakpad that this machine does not have; may be given several times.
    #[arg(long, value_name = "URL")]
    symbols_url: Vec<String>,

    /// Ask these debuginfod servers for what this machine does not have; without URLS, those that the system names.
    /// They are asked without this option too when DEBUGINFOD_URLS is set.
    #[arg(long, value_name = "URLS", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    debuginfod: Option<String>,

    /// Ask no server, whatever DEBUGINFOD_URLS says.
    #[arg(long, conflicts_with = "debuginfod")]
    no_debuginfod: bool,

    /// Keep nothing that was unpacked for later runs, and use nothing that was kept (docs/cache.md).
    #[arg(long)]
    no_cache: bool,
}

impl SymbolArgs {
    /// Where to look.
    ///
    /// # Errors
    /// A wrong path in the arguments is better said at once than found out from missing names.
    pub(crate) fn search(&self, fetch: Fetch) -> Result<SearchOptions> {
        if let Some(path) = self.exe.as_ref().filter(|path| !path.exists()) {
            return Err(Failure::not_found(format_args!("there is no file {}", path.display())));
        }
        Ok(SearchOptions { executable: self.exe.clone(), ..self.files.search(fetch)? })
    }

    /// Whether any server is to be asked.
    pub(crate) fn has_server(&self) -> bool {
        self.files.has_server()
    }
}

impl SearchArgs {
    /// Where to look.
    ///
    /// # Errors
    /// A wrong path in the arguments is better said at once than found out from missing names.
    pub(crate) fn search(&self, fetch: Fetch) -> Result<SearchOptions> {
        let mut directories = self.sysroot.iter().chain(&self.debug_dir).chain(&self.symbol_dir);
        if let Some(path) = directories.find(|path| !path.is_dir()) {
            return Err(Failure::not_found(format_args!("there is no directory {}", path.display())));
        }
        let mut search = SearchOptions {
            sysroot: self.sysroot.clone(),
            cache: cache_directory().filter(|_| !self.no_cache),
            symbol_directories: self.symbol_dir.iter().chain(&self.debug_dir).cloned().collect(),
            server: self.server(fetch)?,
            ..SearchOptions::default()
        };
        search.debug_directories.splice(0..0, self.debug_dir.iter().cloned());
        Ok(search)
    }

    /// Whether any server is to be asked.
    fn has_server(&self) -> bool {
        !self.symbols_url.is_empty()
            || self.debuginfod.is_some()
            || (!self.no_debuginfod && DebuginfodOptions::from_env().is_some())
    }

    fn server(&self, fetch: Fetch) -> Result<Option<Arc<dyn DebugFileServer>>> {
        let options = match self.debuginfod.as_deref() {
            _ if self.no_debuginfod => None,
            None => DebuginfodOptions::from_env(),
            Some("") => Some(
                DebuginfodOptions::from_env().unwrap_or_else(|| DebuginfodOptions::with_urls(&system_urls())),
            ),
            Some(urls) => Some(DebuginfodOptions::with_urls(urls)),
        };
        let no_others = || (!self.symbols_url.is_empty()).then(|| DebuginfodOptions::with_urls(""));
        let Some(mut options) = options.or_else(no_others) else { return Ok(None) };
        options.symbol_urls.clone_from(&self.symbols_url);
        if options.urls.is_empty() && (self.debuginfod.is_some() || self.symbols_url.is_empty()) {
            return Err(Failure::usage(
                "no debuginfod server is known: give --debuginfod=URLS, or set DEBUGINFOD_URLS",
            ));
        }
        match fetch {
            Fetch::Unhurried => {}
            Fetch::Within(time) => options.budget = Some(time),
            Fetch::Never => options.offline = true,
        }
        options.progress = downloads::progress();
        Ok(Some(Arc::new(Debuginfod::new(options))))
    }
}
