//! How much of a value is shown, and how: the arguments of all subcommands that show values.

use prospect::value::{Limits, Views};

/// The arguments that say how values are shown.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Values")]
pub(crate) struct ValueArgs {
    /// Show at most so many levels of structures and elements [print: 10, stack: 4]
    #[arg(long, value_name = "LEVELS")]
    depth: Option<u32>,

    /// Show at most so many elements of each container, and characters of each text [print: 200, stack: 20, texts 80]
    #[arg(long, value_name = "N")]
    elements: Option<u64>,

    /// Follow pointers so many times.
    #[arg(long, value_name = "TIMES", default_value_t = 0)]
    follow: u32,

    /// Show all types by their plain fields: no containers, strings, smart pointers of the standard libraries.
    #[arg(long)]
    raw: bool,

    /// Write whole numbers in hexadecimal; JSON has the bytes anyway.
    #[arg(long)]
    pub(crate) hex: bool,
}

impl ValueArgs {
    /// The limits for a value that was asked for.
    pub(crate) fn limits(&self) -> Limits {
        self.limits_or(10, 200, 200)
    }

    /// The limits for each of very many values.
    pub(crate) fn small_limits(&self) -> Limits {
        self.limits_or(4, 20, 80)
    }

    fn limits_or(&self, depth: u32, elements: u64, text: u64) -> Limits {
        let mut limits = Limits::default();
        limits.depth = self.depth.unwrap_or(depth);
        limits.elements = self.elements.unwrap_or(elements);
        limits.text = self.elements.unwrap_or(text);
        limits.pointers = self.follow;
        limits
    }

    /// What shows the types of libraries as what they are.
    pub(crate) fn views(&self) -> &'static Views {
        static NONE: std::sync::LazyLock<Views> = std::sync::LazyLock::new(Views::none);
        if self.raw { &NONE } else { Views::standard() }
    }
}
