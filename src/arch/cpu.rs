//! CPUID, MSRs, the time-stamp counter and the call into the hypercall page.

/// Executes CPUID; subleaf 0. Returns EAX, EBX, ECX, EDX.
#[must_use]
pub fn cpuid(leaf: u32) -> [u32; 4] {
    let result = core::arch::x86_64::__cpuid_count(leaf, 0);
    [result.eax, result.ebx, result.ecx, result.edx]
}

/// Reads the time-stamp counter.
#[must_use]
pub fn time_stamp() -> u64 {
    // SAFETY: every CPU with long mode has RDTSC, and CR4.TSD does not apply at CPL 0, where the core runs.
    unsafe { x86::time::rdtsc() }
}

/// Reads an MSR.
///
/// # Safety
/// The MSR exists (else #GP), and the CPU is at CPL 0.
#[must_use]
pub unsafe fn read_msr(msr: u32) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { x86::msr::rdmsr(msr) }
}

/// Writes an MSR.
///
/// # Safety
/// As [`read_msr`]; and the value puts nothing over memory that Rust uses (SynIC and hypercall pages are overlays).
pub unsafe fn write_msr(msr: u32, value: u64) {
    // SAFETY: the caller's promise.
    unsafe { x86::msr::wrmsr(msr, value) }
}

/// Calls the hypercall page: control word in RCX, input in RDX, output in R8, result in RAX.
///
/// All registers that a hypervisor was seen to clobber count as lost (TLFS names RAX only; KVM's self-tests r9-r11).
/// Source: TLFS, "Hypercall Inputs" (x64).
///
/// # Safety
/// `page` is mapped executable and is the enabled hypercall page; `input` and `output` are what the call code expects.
#[must_use]
pub unsafe fn hypercall(page: *const u8, control: u64, input: u64, output: u64) -> u64 {
    let result;
    // SAFETY: the caller's promise; the page ends in a near return, and memory is not declared untouched.
    unsafe {
        core::arch::asm!(
            "call {page}",
            page = in(reg) page,
            inout("rcx") control => _,
            inout("rdx") input => _,
            inout("r8") output => _,
            out("rax") result,
            out("r9") _,
            out("r10") _,
            out("r11") _,
        );
    }
    result
}
