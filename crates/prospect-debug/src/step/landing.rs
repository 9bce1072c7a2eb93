//! Where a thread comes down that leaves frames without returning from them: by an exception, by `longjmp`.

use prospect_process::{
    Addr, Arch, Process,
    control::{Action, TrapId},
};
use prospect_symbols::Binaries;

use super::{
    StepError,
    run::{Ran, Runner},
};
use crate::runtime_functions::{LONG_JUMPS, functions};

/// Called by the personality routine of each frame that gets the word of an exception, with where that frame goes on
/// (Itanium C++ ABI, exception handling, section 1.6.2). Unwinders of C++ and of Rust have it.
const SET_IP: &str = "_Unwind_SetIP";

/// So many instructions has `longjmp`, with what it calls.
const MOST_INSTRUCTIONS: usize = 5000;

/// What is as far away is the code that was jumped to.
const FAR: u64 = 64;

/// Where frames are left.
#[derive(Clone, Debug, Default)]
pub(super) struct Landings {
    pub(super) set_ip: Vec<Addr>,
    pub(super) long_jumps: Vec<Addr>,
}

impl Landings {
    pub(super) fn find(process: &dyn Process, binaries: &Binaries) -> Self {
        if !matches!(process.info().arch, Arch::X86_64 | Arch::I386) {
            return Self::default();
        }
        let of = |names: &[&str]| functions(process, binaries, names);
        Self { set_ip: of(&[SET_IP]), long_jumps: of(&LONG_JUMPS) }
    }
}

impl Runner<'_> {
    /// Where a frame goes on that gets an exception, by a thread that enters [`SET_IP`].
    pub(super) fn landing_pad(&self) -> Result<Option<Addr>, StepError> {
        let view = self.view()?;
        let arch = view.info().arch;
        let Some(registers) = view.registers(self.thread()) else { return Ok(None) };
        let register = |name| registers.get(arch.info().by_name(name)?);
        Ok(match arch {
            Arch::X86_64 => register("rsi").map(Addr),
            // Behind the return address and the first argument.
            _ => {
                registers.sp().and_then(|sp| view.memory().read_word(arch, sp.wrapping_add(8)).ok()).map(Addr)
            }
        })
    }

    /// Goes on from the first instruction of `longjmp` to where it jumps to: the stack pointer is above what it was,
    /// and then it jumps away.
    pub(super) fn follow_jump(&mut self) -> Result<Ran, StepError> {
        let stand = |runner: &Self| -> Result<(u64, u64), StepError> {
            let registers = runner.registers()?;
            Ok((registers.pc().map_or(0, |pc| pc.0), registers.sp().map_or(0, |sp| sp.0)))
        };
        let (_, began) = stand(self)?;
        for _ in 0..MOST_INSTRUCTIONS {
            let (before, _) = stand(self)?;
            let ran = self.run(Action::Step)?;
            if !matches!(ran, Ran::Done) {
                return Ok(ran);
            }
            let (pc, sp) = stand(self)?;
            if sp > began && pc.abs_diff(before) > FAR {
                return Ok(Ran::Done);
            }
        }
        Err(StepError::Endless)
    }

    /// Traps at all places where frames are left.
    pub(super) fn set_landings(&mut self, landings: &Landings) -> (Vec<TrapId>, Vec<TrapId>) {
        let set = |runner: &mut Self, places: &[Addr]| {
            places.iter().filter_map(|at| runner.set(*at).ok()).collect::<Vec<TrapId>>()
        };
        (set(self, &landings.set_ip), set(self, &landings.long_jumps))
    }
}
