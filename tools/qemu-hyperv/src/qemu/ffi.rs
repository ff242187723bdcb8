//! The part of QEMU's TCG plugin API, version 7, that the plugin uses, and of GLib what that API passes about.
//!
//! QEMU installs no header that a build could read: the declarations follow `include/plugins/qemu-plugin.h` of QEMU 11.1.
//! Nothing is linked here: the names resolve from the QEMU process that loads the plugin.

use std::ffi::{c_char, c_int, c_uint, c_void};

/// The plugin API that this crate is written for; QEMU 11.1 refuses a plugin that declares an older one.
pub const QEMU_PLUGIN_VERSION: c_int = 7;

/// Names this plugin in every registration.
pub type PluginId = u64;

/// What QEMU says about itself at installation (`qemu_info_t`).
#[repr(C)]
pub struct Info {
    /// Target architecture, a C string such as `x86_64`.
    pub target_name: *const c_char,
    /// Oldest plugin API that this QEMU takes.
    pub version_min: c_int,
    /// The plugin API of this QEMU.
    pub version_cur: c_int,
    /// Whether a whole machine is emulated, not a user process.
    pub system_emulation: bool,
    /// vCPUs at start; valid under system emulation.
    pub smp_vcpus: c_int,
    /// Most vCPUs there can be; valid under system emulation.
    pub max_vcpus: c_int,
}

/// GLib's growable byte array (`GByteArray`): a public structure, all of whose fields may be read.
#[repr(C)]
pub struct GByteArray {
    /// First byte, or null while the array has never held any.
    pub data: *mut u8,
    /// Bytes in use.
    pub len: c_uint,
}

/// GLib's array of equal elements (`GArray`), of the same public shape.
#[repr(C)]
pub struct GArray {
    /// First element.
    pub data: *mut c_char,
    /// Elements in use.
    pub len: c_uint,
}

/// A block of guest code under translation.
#[repr(C)]
pub struct Tb([u8; 0]);

/// An instruction of a [`Tb`].
#[repr(C)]
pub struct Insn([u8; 0]);

/// One value for each vCPU that translated code can add to and compare.
#[repr(C)]
pub struct Scoreboard([u8; 0]);

/// A register as the API names it; valid for every vCPU of the same kind.
#[repr(C)]
pub struct Register([u8; 0]);

/// A `u64` inside the elements of a scoreboard (`qemu_plugin_u64`).
#[derive(Clone, Copy)]
#[repr(C)]
pub struct ScoreU64 {
    /// The scoreboard.
    pub score: *mut Scoreboard,
    /// Offset of the value in each element, in bytes.
    pub offset: usize,
}

/// One row of [`qemu_plugin_get_registers`] (`qemu_plugin_reg_descriptor`).
#[repr(C)]
pub struct RegDescriptor {
    /// What the read and write functions take.
    pub handle: *mut Register,
    /// Lower-case name, an interned C string.
    pub name: *const c_char,
    /// Group of registers, may be null.
    pub feature: *const c_char,
    /// Whether writing is refused.
    pub is_readonly: bool,
}

/// `QEMU_PLUGIN_CB_RW_REGS`: the callback reads and writes registers.
pub const CB_RW_REGS: c_int = 2;

/// `QEMU_PLUGIN_INLINE_ADD_U64`.
pub const INLINE_ADD_U64: c_int = 0;

/// `QEMU_PLUGIN_COND_GE`, unsigned.
pub const COND_GE: c_int = 7;

/// `QEMU_PLUGIN_DISCON_INTERRUPT`: an asynchronous interrupt has been taken.
pub const DISCON_INTERRUPT: c_int = 1;

/// Callback with a vCPU index.
pub type VcpuCallback = extern "C" fn(vcpu: c_uint, userdata: *mut c_void);
/// Callback for a block that was just translated.
pub type TransCallback = extern "C" fn(tb: *mut Tb, userdata: *mut c_void);
/// Callback for an interrupt, once the vCPU stands at its handler.
pub type DisconCallback = extern "C" fn(vcpu: c_uint, kind: c_int, from: u64, to: u64, userdata: *mut c_void);
/// Callback without a vCPU.
pub type PlainCallback = extern "C" fn(userdata: *mut c_void);

unsafe extern "C" {
    // Registration. Callbacks and userdata must stay valid for as long as QEMU runs.
    pub fn qemu_plugin_register_vcpu_init_cb(id: PluginId, callback: VcpuCallback, userdata: *mut c_void);
    pub fn qemu_plugin_register_vcpu_resume_cb(id: PluginId, callback: VcpuCallback, userdata: *mut c_void);
    pub fn qemu_plugin_register_vcpu_tb_trans_cb(id: PluginId, callback: TransCallback, userdata: *mut c_void);
    pub fn qemu_plugin_register_vcpu_discon_cb(
        id: PluginId,
        kinds: c_int,
        callback: DisconCallback,
        userdata: *mut c_void,
    );
    pub fn qemu_plugin_register_atexit_cb(id: PluginId, callback: PlainCallback, userdata: *mut c_void);

    // Instrumentation; only inside a translation callback, with its own `tb`.
    pub fn qemu_plugin_register_vcpu_tb_exec_cb(
        tb: *mut Tb,
        callback: VcpuCallback,
        flags: c_int,
        userdata: *mut c_void,
    );
    pub fn qemu_plugin_register_vcpu_tb_exec_cond_cb(
        tb: *mut Tb,
        callback: VcpuCallback,
        flags: c_int,
        cond: c_int,
        entry: ScoreU64,
        imm: u64,
        userdata: *mut c_void,
    );
    pub fn qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(tb: *mut Tb, op: c_int, entry: ScoreU64, imm: u64);
    pub fn qemu_plugin_register_vcpu_insn_exec_cb(
        insn: *mut Insn,
        callback: VcpuCallback,
        flags: c_int,
        userdata: *mut c_void,
    );

    // Questions about a block; only inside its translation callback.
    pub fn qemu_plugin_tb_n_insns(tb: *const Tb) -> usize;
    pub fn qemu_plugin_tb_get_insn(tb: *const Tb, index: usize) -> *mut Insn;
    pub fn qemu_plugin_insn_data(insn: *const Insn, dest: *mut c_void, len: usize) -> usize;
    pub fn qemu_plugin_insn_vaddr(insn: *const Insn) -> u64;

    // Guest state; only in a vCPU's own callbacks.
    pub fn qemu_plugin_get_registers() -> *mut GArray;
    pub fn qemu_plugin_read_register(register: *mut Register, buf: *mut GByteArray) -> bool;
    pub fn qemu_plugin_write_register(register: *mut Register, buf: *mut GByteArray) -> bool;
    pub fn qemu_plugin_read_memory_hwaddr(addr: u64, data: *mut GByteArray, len: usize) -> c_int;
    pub fn qemu_plugin_translate_vaddr(vaddr: u64, hwaddr: *mut u64) -> bool;
    pub fn qemu_plugin_write_memory_hwaddr(addr: u64, data: *mut GByteArray) -> c_int;

    pub fn qemu_plugin_scoreboard_new(element_size: usize) -> *mut Scoreboard;
    pub fn qemu_plugin_u64_get(entry: ScoreU64, vcpu: c_uint) -> u64;
    pub fn qemu_plugin_u64_set(entry: ScoreU64, vcpu: c_uint, value: u64);

    // GLib.
    pub fn g_byte_array_new() -> *mut GByteArray;
    pub fn g_byte_array_set_size(array: *mut GByteArray, len: c_uint) -> *mut GByteArray;
    pub fn g_byte_array_unref(array: *mut GByteArray);
    pub fn g_array_unref(array: *mut GArray);
}
