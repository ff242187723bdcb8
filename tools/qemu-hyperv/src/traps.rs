//! What each trapped instruction means: registers to the host model and its answer to the registers.
//!
//! TCG executes CPUID and RDMSR itself, after the plugin's callback, and overwrites what a callback before it has put into the
//! registers. So their answer is kept as a [`LateAnswer`] and given before the next instruction, wherever that is: in the same
//! block, in the next one, or at the start of an interrupt handler, which finds the registers as the interrupted code left
//! them. WRMSR of an unknown MSR does nothing in TCG, and the hypercall's no-op never does.

use hvhost::{CpuidRegs, GuestMemory, Host, Hypercall, MsrRead, MsrWrite};

use crate::cpu::{Cpu, Reg};
use crate::insn::Trap;

/// `HV_STATUS_ACCESS_DENIED`: the answer to a call that a real processor would refuse with #UD.
const HV_STATUS_ACCESS_DENIED: u64 = 6;

/// What the registers must hold when the next instruction begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LateAnswer {
    /// EAX, EBX, ECX and EDX of this leaf; they then hold what TCG said.
    Cpuid {
        /// EAX before the instruction.
        leaf: u32,
        /// ECX before the instruction.
        subleaf: u32,
    },
    /// EDX:EAX after RDMSR.
    Rdmsr(u64),
}

/// Whether CPUID, RDMSR or WRMSR, about to be executed, is for the hypervisor: all else stays between guest and TCG.
pub fn is_for_hypervisor(trap: Trap, cpu: &mut impl Cpu) -> bool {
    /// CPUID leaves and MSRs of hypervisors are 0x4000xxxx.
    const HYPERVISOR: u32 = 0x4000;
    match trap {
        Trap::Cpuid => matches!(cpu.get(Reg::Rax) as u32, leaf if leaf == 1 || leaf >> 16 == HYPERVISOR),
        Trap::Rdmsr | Trap::Wrmsr => cpu.get(Reg::Rcx) as u32 >> 16 == HYPERVISOR,
        Trap::Hypercall => true,
    }
}

/// Serves CPUID, RDMSR or WRMSR on processor `vp`, just before it is executed.
pub fn serve_msr_or_cpuid(
    trap: Trap,
    vp: u32,
    cpu: &mut impl Cpu,
    mem: &mut dyn GuestMemory,
    host: &mut Host,
) -> Option<LateAnswer> {
    match trap {
        Trap::Cpuid => Some(LateAnswer::Cpuid { leaf: cpu.get(Reg::Rax) as u32, subleaf: cpu.get(Reg::Rcx) as u32 }),
        // TCG itself raises #GP for the MSR instructions above privilege level 0.
        Trap::Rdmsr | Trap::Wrmsr if cpu.privilege_level() != 0 => None,
        Trap::Rdmsr => match host.rdmsr(vp, cpu.get(Reg::Rcx) as u32) {
            MsrRead::Value(value) => Some(LateAnswer::Rdmsr(value)),
            // The host model has noted the violation; without a #GP the guest reads 0.
            MsrRead::GeneralProtection => Some(LateAnswer::Rdmsr(0)),
            MsrRead::NotHandled => None,
        },
        Trap::Wrmsr => {
            let value = cpu.get_pair(Reg::Rdx, Reg::Rax);
            match host.wrmsr(vp, cpu.get(Reg::Rcx) as u32, value, mem) {
                // As for RDMSR: the violation is noted and the guest goes on.
                MsrWrite::Done | MsrWrite::GeneralProtection | MsrWrite::NotHandled => None,
            }
        }
        Trap::Hypercall => None,
    }
}

/// Serves the no-op of the hypercall page on processor `vp`; `in_page` says whether it was found there while the page is
/// enabled. The registers hold the result at once.
///
/// TLFS "Hypercall Interface": RCX, RDX, R8 and RAX in 64-bit code, pairs of 32-bit registers otherwise. The register that would
/// tell 64-bit code from compatibility mode, CS.L, can't be read: long mode counts as 64-bit code.
///
/// # Errors
/// What the guest did that a real processor answers with an exception, which a plugin can't raise. The call is refused.
pub fn serve_hypercall(
    vp: u32,
    in_page: bool,
    cpu: &mut impl Cpu,
    mem: &mut dyn GuestMemory,
    host: &mut Host,
) -> Result<(), &'static str> {
    let long_mode = cpu.long_mode();
    let allowed = if !cpu.protected() {
        Err("hypercall in real mode")
    } else if cpu.privilege_level() != 0 {
        Err("hypercall above privilege level 0")
    } else if !in_page {
        Err("hypercall outside the enabled hypercall page")
    } else {
        Ok(())
    };
    let result = if allowed.is_err() {
        HV_STATUS_ACCESS_DENIED
    } else if long_mode {
        let call = Hypercall { control: cpu.get(Reg::Rcx), input: cpu.get(Reg::Rdx), output: cpu.get(Reg::R8) };
        host.hypercall(vp, call, mem)
    } else {
        let call = Hypercall {
            control: cpu.get_pair(Reg::Rdx, Reg::Rax),
            input: cpu.get_pair(Reg::Rbx, Reg::Rcx),
            output: cpu.get_pair(Reg::Rdi, Reg::Rsi),
        };
        host.hypercall(vp, call, mem)
    };
    if long_mode {
        cpu.set(Reg::Rax, result);
    } else {
        cpu.set_pair(Reg::Rdx, Reg::Rax, result);
    }
    allowed
}

/// Gives an answer, just before the instruction that follows.
pub fn give(answer: LateAnswer, cpu: &mut impl Cpu, host: &mut Host) {
    match answer {
        LateAnswer::Cpuid { leaf, subleaf } => {
            let mut get = |reg| cpu.get(reg) as u32;
            let native = CpuidRegs { eax: get(Reg::Rax), ebx: get(Reg::Rbx), ecx: get(Reg::Rcx), edx: get(Reg::Rdx) };
            let CpuidRegs { eax, ebx, ecx, edx } = host.cpuid(leaf, subleaf, native);
            for (reg, value) in [(Reg::Rax, eax), (Reg::Rbx, ebx), (Reg::Rcx, ecx), (Reg::Rdx, edx)] {
                cpu.set(reg, value.into());
            }
        }
        LateAnswer::Rdmsr(value) => cpu.set_pair(Reg::Rdx, Reg::Rax, value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::fake::FakeCpu;
    use hvhost::{Config, FlatMemory};

    const GUEST_OS_ID: u64 = 0x4000_0000;

    fn machine() -> (Host, FlatMemory) {
        (Host::new(Config::default(), Vec::new()), FlatMemory::new(0x10_0000))
    }

    /// What a guest sees: the trap, TCG's own version of the instruction, then the late answer.
    fn run(trap: Trap, cpu: &mut FakeCpu, tcg: impl FnOnce(&mut FakeCpu), host: &mut Host, mem: &mut FlatMemory) {
        let late = if is_for_hypervisor(trap, cpu) { serve_msr_or_cpuid(trap, 0, cpu, mem, host) } else { None };
        tcg(cpu);
        if let Some(answer) = late {
            give(answer, cpu, host);
        }
    }

    #[test]
    fn an_msr_keeps_both_halves_through_write_and_read() {
        let (mut host, mut mem) = machine();
        let mut cpu = FakeCpu::long_mode(&[
            (Reg::Rcx, 0xffff_ffff_0000_0000 | GUEST_OS_ID),
            (Reg::Rdx, 0xdead_beef_8100_0001),
            (Reg::Rax, 0xffff_ffff_0000_0002),
        ]);
        run(Trap::Wrmsr, &mut cpu, |_| {}, &mut host, &mut mem);
        let zero = |cpu: &mut FakeCpu| cpu.set_pair(Reg::Rdx, Reg::Rax, 0);
        run(Trap::Rdmsr, &mut cpu, zero, &mut host, &mut mem);
        assert_eq!((cpu.get(Reg::Rdx), cpu.get(Reg::Rax)), (0x8100_0001, 2));
    }

    #[test]
    fn msrs_of_the_processor_stay_those_of_tcg() {
        let (mut host, mut mem) = machine();
        let mut cpu = FakeCpu::long_mode(&[(Reg::Rcx, 0x1b)]);
        let apic_base = |cpu: &mut FakeCpu| cpu.set(Reg::Rax, 0xfee0_0900);
        run(Trap::Rdmsr, &mut cpu, apic_base, &mut host, &mut mem);
        assert_eq!(cpu.get(Reg::Rax), 0xfee0_0900);
    }

    #[test]
    fn user_code_reaches_no_msr() {
        let (mut host, mut mem) = machine();
        let mut cpu = FakeCpu::long_mode(&[(Reg::Cs, 0x33), (Reg::Rcx, GUEST_OS_ID), (Reg::Rax, 5)]);
        assert_eq!(serve_msr_or_cpuid(Trap::Wrmsr, 0, &mut cpu, &mut mem, &mut host), None);
        assert_eq!(host.rdmsr(0, GUEST_OS_ID as u32), MsrRead::Value(0));
    }

    #[test]
    fn hypervisor_leaves_replace_what_tcg_says_and_others_do_not() {
        let (mut host, mut mem) = machine();
        let mut cpu = FakeCpu::long_mode(&[(Reg::Rax, 0x4000_0001)]);
        let tcg = |cpu: &mut FakeCpu| cpu.set(Reg::Rax, 0x4743_5400);
        run(Trap::Cpuid, &mut cpu, tcg, &mut host, &mut mem);
        assert_eq!(cpu.get(Reg::Rax), 0x3123_7648, "Hv#1");
        cpu.set(Reg::Rax, 7);
        run(Trap::Cpuid, &mut cpu, |cpu| cpu.set(Reg::Rax, 2), &mut host, &mut mem);
        assert_eq!(cpu.get(Reg::Rax), 2);
    }

    #[test]
    fn leaf_1_keeps_the_processors_own_features() {
        let (mut host, mut mem) = machine();
        let mut cpu = FakeCpu::long_mode(&[(Reg::Rax, 1)]);
        let tcg = |cpu: &mut FakeCpu| cpu.set_pair(Reg::Rdx, Reg::Rcx, 0x0781_abfd_0000_2201);
        run(Trap::Cpuid, &mut cpu, tcg, &mut host, &mut mem);
        assert_eq!((cpu.get(Reg::Rdx), cpu.get(Reg::Rcx)), (0x0781_abfd, 0x8000_2201));
    }

    #[test]
    fn both_calling_conventions_reach_the_same_hypercall() {
        let (mut host, mut mem) = machine();
        // HvSignalEvent, fast, with a reserved bit of the input set: status 3.
        let (control, input) = (0x1_005du64, 1u64 << 48);
        let mut cpu = FakeCpu::long_mode(&[(Reg::Rcx, control), (Reg::Rdx, input), (Reg::Rax, u64::MAX)]);
        assert_eq!(serve_hypercall(0, true, &mut cpu, &mut mem, &mut host), Ok(()));
        assert_eq!(cpu.get(Reg::Rax), 3);

        let mut cpu = FakeCpu::default();
        cpu.set(Reg::Cr0, 0x11);
        cpu.set(Reg::Rax, control);
        cpu.set(Reg::Rdx, 0);
        cpu.set_pair(Reg::Rbx, Reg::Rcx, input);
        assert_eq!(serve_hypercall(0, true, &mut cpu, &mut mem, &mut host), Ok(()));
        assert_eq!((cpu.get(Reg::Rdx), cpu.get(Reg::Rax)), (0, 3));
    }

    #[test]
    fn a_hypercall_that_a_processor_would_refuse_reaches_nothing() {
        let (mut host, mut mem) = machine();
        let real_mode = FakeCpu::default();
        let user = FakeCpu::long_mode(&[(Reg::Cs, 0x33), (Reg::Rcx, 8)]);
        let elsewhere = FakeCpu::long_mode(&[(Reg::Rcx, 8)]);
        for (mut cpu, in_page, reason) in
            [(real_mode, true, "real mode"), (user, true, "privilege"), (elsewhere, false, "outside")]
        {
            let why = serve_hypercall(0, in_page, &mut cpu, &mut mem, &mut host).unwrap_err();
            assert!(why.contains(reason), "{why}");
            assert_eq!(cpu.get(Reg::Rax), 6);
        }
        assert!(host.counters().hypercalls.is_empty());
    }
}
