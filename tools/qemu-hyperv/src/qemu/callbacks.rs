//! The functions that QEMU calls: installation, then the callbacks, each handed on to the [`Engine`].
//!
//! A panic can't unwind into QEMU: Rust ends the process at an `extern "C"` boundary, with the panic's message.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::sync::OnceLock;

use super::block::{Block, Hook};
use super::ffi;
use super::vcpu::Vcpu;
use crate::engine::Engine;
use crate::insn::Trap;

/// The one engine: QEMU loads the plugin once, and callbacks carry only numbers.
static ENGINE: OnceLock<Engine> = OnceLock::new();

/// The plugin API that this library asks for.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)] // the name is QEMU's
pub static qemu_plugin_version: c_int = ffi::QEMU_PLUGIN_VERSION;

/// Called by QEMU when it loads the plugin; anything but 0 makes QEMU stop with a message.
///
/// # Safety
/// QEMU calls it once, with `info` live during the call and `argc` C strings at `argv`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qemu_plugin_install(
    id: ffi::PluginId,
    info: *const ffi::Info,
    argc: c_int,
    argv: *const *const c_char,
) -> c_int {
    let count = usize::try_from(argc).unwrap_or(0);
    let args: Vec<String> = (0..count)
        .map(|index| {
            // SAFETY: by the contract there are `argc` C strings at `argv`.
            unsafe { CStr::from_ptr(*argv.add(index)) }.to_string_lossy().into_owned()
        })
        .collect();
    // SAFETY: by the contract `info` is live and `target_name` is a C string.
    let (info, target) = unsafe { (&*info, CStr::from_ptr((*info).target_name)) };
    if target.to_bytes() != b"x86_64" || !info.system_emulation {
        eprintln!("qemu-hyperv: works with qemu-system-x86_64 only");
        return 1;
    }
    let engine = match Engine::new(&args, u32::try_from(info.max_vcpus).unwrap_or(1)) {
        Ok(engine) => engine,
        Err(error) => {
            eprintln!("qemu-hyperv: {error:#}");
            return 1;
        }
    };
    if ENGINE.set(engine).is_err() {
        eprintln!("qemu-hyperv: loaded twice; use one -plugin option with several net= arguments");
        return 1;
    }
    let none = std::ptr::null_mut();
    // SAFETY: `id` is this plugin's; the callbacks are functions of this library, which QEMU never unloads.
    unsafe {
        ffi::qemu_plugin_register_vcpu_init_cb(id, on_init, none);
        ffi::qemu_plugin_register_vcpu_resume_cb(id, on_resume, none);
        ffi::qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate, none);
        // Not for exceptions: x86 reports those from inside the block, before it leaves it.
        ffi::qemu_plugin_register_vcpu_discon_cb(id, ffi::DISCON_INTERRUPT, on_interrupt, none);
        ffi::qemu_plugin_register_atexit_cb(id, on_exit, none);
    }
    0
}

/// Callback of [`Block::count`].
pub const BLOCK_DUE: ffi::VcpuCallback = on_block_due;
/// Callback of [`Block::watch_reset`].
pub const RESET_VECTOR: ffi::VcpuCallback = on_reset_vector;

/// Bit in a trap's userdata: the block ends with it. The other bits are the trap.
const ENDS_BLOCK: usize = 0x100;

/// The callback and userdata for a hook.
pub fn for_hook(hook: Hook) -> (ffi::VcpuCallback, *mut c_void) {
    match hook {
        Hook::Trap { trap, ends_block } => {
            let code = trap as usize | if ends_block { ENDS_BLOCK } else { 0 };
            (on_trap, std::ptr::without_provenance_mut(code))
        }
        // QEMU runs on 64-bit machines only: the address fits.
        Hook::Hypercall { gpa } => (on_hypercall, std::ptr::without_provenance_mut(gpa as usize)),
        Hook::AfterTrap => (on_after_trap, std::ptr::null_mut()),
        Hook::Mark { address } => (on_mark, std::ptr::without_provenance_mut(address as usize)),
    }
}

fn engine() -> &'static Engine {
    ENGINE.get().expect("callbacks are registered after the engine is made")
}

/// Runs `work` with the vCPU whose callback this is.
fn with_vcpu(index: c_uint, work: impl FnOnce(&Engine, Vcpu<'_>)) {
    // SAFETY: only called from the callbacks below. QEMU runs them on the vCPU's thread, they are all registered with access to
    // registers or of a kind that always has it, and `work` can't keep the value.
    let vcpu = unsafe { Vcpu::current(index) };
    work(engine(), vcpu);
}

extern "C" fn on_init(vcpu: c_uint, _: *mut c_void) {
    with_vcpu(vcpu, |engine, vcpu| engine.vcpu_started(vcpu));
}

extern "C" fn on_resume(vcpu: c_uint, _: *mut c_void) {
    with_vcpu(vcpu, |engine, vcpu| engine.between_blocks(vcpu));
}

extern "C" fn on_interrupt(vcpu: c_uint, _kind: c_int, _from: u64, _to: u64, _: *mut c_void) {
    with_vcpu(vcpu, |engine, vcpu| engine.between_blocks(vcpu));
}

extern "C" fn on_translate(tb: *mut ffi::Tb, _: *mut c_void) {
    // SAFETY: QEMU translates `tb` on this thread and calls back for it right now.
    let mut block = unsafe { Block::current(tb) };
    engine().translate(&mut block);
}

extern "C" fn on_block_due(vcpu: c_uint, _: *mut c_void) {
    with_vcpu(vcpu, |engine, vcpu| engine.block_due(vcpu));
}

extern "C" fn on_reset_vector(vcpu: c_uint, _: *mut c_void) {
    with_vcpu(vcpu, |engine, vcpu| engine.at_reset_vector(vcpu));
}

extern "C" fn on_trap(vcpu: c_uint, userdata: *mut c_void) {
    let code = userdata.addr();
    let trap = [Trap::Cpuid, Trap::Rdmsr, Trap::Wrmsr]
        .into_iter()
        .find(|&trap| trap as usize == code & !ENDS_BLOCK)
        .expect("the userdata is that of for_hook");
    with_vcpu(vcpu, |engine, vcpu| engine.trap(vcpu, trap, code & ENDS_BLOCK != 0));
}

extern "C" fn on_hypercall(vcpu: c_uint, userdata: *mut c_void) {
    with_vcpu(vcpu, |engine, vcpu| engine.hypercall(vcpu, userdata.addr() as u64));
}

extern "C" fn on_after_trap(vcpu: c_uint, _: *mut c_void) {
    with_vcpu(vcpu, |engine, vcpu| engine.after_trap(vcpu));
}

extern "C" fn on_mark(vcpu: c_uint, userdata: *mut c_void) {
    with_vcpu(vcpu, |engine, _| engine.at_mark(userdata.addr() as u64));
}

extern "C" fn on_exit(_: *mut c_void) {
    engine().exiting();
}
