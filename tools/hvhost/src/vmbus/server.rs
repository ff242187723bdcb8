//! The server: the connection, and what it takes from the guest in which state.
//!
//! One connection per partition. Requests that make no sense in the present state are dropped without a reply, as
//! OpenVMM does and as guests see it on Microsoft's host.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::channel::{Channel, Kind, State as ChannelState};
use super::device::Inert;
use super::gpadl::{GpadlKey, Gpadls};
use super::messages::{self as msg, Contact, FromGuest};
use super::offers;
use crate::backend::NetBackend;
use crate::config::Config;
use crate::counters::Counters;
use crate::disk::DiskBackend;
use crate::hypercall::{INVALID_CONNECTION_ID, Refused, SUCCESS};
use crate::memory::GuestMemory;
use crate::netvsp::NetVsp;
use crate::report::Report;
use crate::storvsp::StorVsp;
use crate::synic::{Message, Synic, VMBUS_SINT};
use crate::violations::Breach;

/// SynIC message type of VMBus.
const VMBUS_MESSAGE: u32 = 1;
/// Messages that the hypervisor queues for one port; TLFS default.
const PORT_BUFFERS: usize = 16;
/// Highest channel id: event flags end there.
const MAX_RELID: u32 = 2047;
/// Connection id of a channel: this + relid, as on OpenVMM (SINT 2 in bits 15:12).
pub(super) const CHANNEL_CONNECTION: u32 = 0x2000;
/// Status of a signal with a flag that the port does not have.
const INVALID_PORT_ID: u16 = 0x11;

/// What was agreed on.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(super) struct Connection {
    pub version: u32,
    features: u32,
    /// VP that gets control messages.
    pub vp: u32,
    /// Before 2.4: events go through this page, and to VP 0.
    interrupt_page: Option<u64>,
    pub offers_sent: bool,
    pub paused: bool,
}

/// What follows when the last channel has closed.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(super) enum After {
    Unloaded,
    Contact(Contact),
}

#[derive(Debug, Deserialize, Serialize)]
pub(super) enum State {
    Disconnected,
    Connected(Connection),
    /// Devices still close; a newer request replaces `after`.
    Disconnecting {
        old: Connection,
        after: After,
        until: u64,
    },
}

/// The parts of the host that serving a request needs.
pub(crate) struct Context<'a> {
    pub config: &'a Config,
    /// Addresses of the SynIC and hypercall pages.
    pub overlays: &'a [u64],
    pub mem: &'a mut dyn GuestMemory,
    pub report: &'a mut Report,
}

/// A teardown that is answered at its time. The host may use the memory until then.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(super) struct LateTeardown {
    pub due: u64,
    /// Number of its connection.
    pub connection: u32,
    pub key: GpadlKey,
}

pub(crate) struct Server {
    pub(super) state: State,
    pub(super) channels: Vec<Channel>,
    pub(super) gpadls: Gpadls,
    /// Posted by the guest, with the connection id used.
    pub(super) incoming: VecDeque<(u32, Vec<u8>)>,
    /// For the guest, with the VP; what the SynIC has no buffer for yet.
    pub(super) outgoing: VecDeque<(u32, Vec<u8>)>,
    /// Channel ids of devices that came and went, until the guest releases them.
    pub(super) ghosts: BTreeSet<u32>,
    pub(super) ghosts_offered: u32,
    /// How many of them came at a time that asked for it.
    pub(super) came_and_went: usize,
    /// Connections so far.
    pub(super) connections: u32,
    /// Kinds of devices that were rescinded as asked for.
    pub(super) rescinded: Vec<Kind>,
    /// Teardowns that are still to be answered.
    pub(super) late: Vec<LateTeardown>,
}

impl Server {
    pub fn new(config: &Config, nics: Vec<Box<dyn NetBackend>>) -> Self {
        let mut channels: Vec<Channel> = (0..)
            .zip(nics)
            .map(|(index, backend)| {
                Channel::new(offers::nic(index), Kind::Nic, Box::new(NetVsp::new(config, index, backend)))
            })
            .collect();
        if config.other_offers {
            channels.extend(offers::integration().map(|offer| Channel::new(offer, Kind::Other, Box::new(Inert))));
        }
        channels.extend(
            (0..config.spare_offers).map(|index| Channel::new(offers::spare(index), Kind::Other, Box::new(Inert))),
        );
        let mut server = Self {
            state: State::Disconnected,
            channels,
            gpadls: Gpadls::default(),
            incoming: VecDeque::new(),
            outgoing: VecDeque::new(),
            ghosts: BTreeSet::new(),
            ghosts_offered: 0,
            came_and_went: 0,
            connections: 0,
            rescinded: Vec::new(),
            late: Vec::new(),
        };
        server.sort_channels();
        server
    }

    /// Adds a SCSI controller, before the guest runs.
    pub fn add_scsi_controller(&mut self, disks: Vec<Box<dyn DiskBackend>>) {
        let is_controller = |channel: &&Channel| channel.kind == Kind::ScsiController;
        let index = self.channels.iter().filter(is_controller).count() as u32;
        let device = Box::new(StorVsp::new(index, disks));
        self.channels.push(Channel::new(offers::scsi_controller(index), Kind::ScsiController, device));
        self.sort_channels();
    }

    /// Channel ids are given in this order: class, then instance.
    fn sort_channels(&mut self) {
        self.channels.sort_by_key(|channel| channel.offer);
    }

    /// Whether messages of the guest wait to be served.
    pub fn has_incoming(&self) -> bool {
        !self.incoming.is_empty()
    }

    /// Whether a message for `vp` is under way or being made.
    pub fn reply_due(&self, vp: u32, synic: &Synic) -> bool {
        let here = match &self.state {
            State::Connected(connection) => connection.vp == vp,
            State::Disconnecting { .. } | State::Disconnected => true,
        };
        let is_answered =
            |(_, bytes): &(u32, Vec<u8>)| !matches!(msg::message_type(bytes), msg::CLOSE_CHANNEL | msg::RELID_RELEASED);
        here && (self.incoming.iter().any(is_answered) || !self.outgoing.is_empty() || synic.has_queued(VMBUS_SINT))
    }

    /// HvPostMessage: queues a message; nothing in it is looked at yet. Gives the status of the call.
    ///
    /// # Errors
    /// A refusal that the guest could have known.
    pub fn post(
        &mut self,
        connection: u32,
        kind: u32,
        payload: Vec<u8>,
        config: &Config,
        report: &mut Report,
    ) -> Result<u16, Refused> {
        match connection {
            msg::MESSAGE_CONNECTION => {}
            // How a guest finds out that the host is older than 5.0: no violation.
            msg::MULTI_CLIENT_CONNECTION if config.max_vmbus_version < msg::V5_0 => return Ok(INVALID_CONNECTION_ID),
            msg::MULTI_CLIENT_CONNECTION => {}
            _ => return Err((INVALID_CONNECTION_ID, "no such connection")),
        }
        if kind == VMBUS_MESSAGE {
            self.incoming.push_back((connection, payload));
        } else {
            let why = "not posted with VMBus's message type";
            report.breach(Breach::VmbusDropped { message: msg::message_type(&payload), why });
        }
        Ok(SUCCESS)
    }

    /// HvSignalEvent. Gives the status of the call.
    ///
    /// # Errors
    /// A refusal that the guest could have known.
    pub fn signal(
        &mut self,
        id: u32,
        flag: u16,
        mem: &mut dyn GuestMemory,
        report: &mut Report,
    ) -> Result<u16, Refused> {
        const UNKNOWN: Refused = (INVALID_CONNECTION_ID, "no such connection");
        let State::Connected(connection) = &self.state else { return Err(UNKNOWN) };
        if flag != 0 {
            return Err((INVALID_PORT_ID, "flag number of HvSignalEvent is not 0"));
        }
        if id == msg::EVENT_CONNECTION {
            let page = connection.interrupt_page.ok_or((INVALID_CONNECTION_ID, "no interrupt page was given"))?;
            for relid in take_bits(page + 2048, mem) {
                if let Some(channel) = self.channels.iter_mut().find(|channel| channel.relid == relid) {
                    channel.signal(mem, report);
                }
            }
            return Ok(SUCCESS);
        }
        // The guest may not have seen the rescind yet.
        let revoked = |channel: &Channel| {
            matches!(channel.state, ChannelState::Revoked) && CHANNEL_CONNECTION + channel.relid == id
        };
        if self.channels.iter().any(revoked) {
            return Ok(INVALID_CONNECTION_ID);
        }
        let channel = self.channels.iter_mut().find(|channel| match &channel.state {
            ChannelState::Open(open) => match open.request.signal {
                Some((connection, _)) => connection == id,
                None => CHANNEL_CONNECTION + channel.relid == id,
            },
            _ => false,
        });
        channel.ok_or(UNKNOWN)?.signal(mem, report);
        Ok(SUCCESS)
    }

    pub fn reset(&mut self, report: &mut Report) {
        for channel in &mut self.channels {
            channel.close_device(false, report);
        }
        self.forget_connection(report.now);
        self.incoming.clear();
        self.outgoing.clear();
        self.late.clear();
    }

    /// Serves messages, channels and whatever is due by now.
    pub fn poll(&mut self, synics: &mut [Synic], cx: &mut Context<'_>) {
        self.finish_closing(cx);
        self.finish_late_teardowns(cx);
        self.rescind_when_due(cx);
        self.reoffer_when_due(cx);
        self.come_and_go_when_due(cx);
        self.flush(synics, cx);
        // Like OpenVMM, take nothing from the guest while it does not take our messages.
        while self.outgoing.is_empty() || self.is_paused() {
            let Some((connection, bytes)) = self.incoming.pop_front() else { break };
            self.handle(connection, &bytes, cx);
            self.flush(synics, cx);
        }
        self.serve_channels(synics, cx);
    }

    fn is_paused(&self) -> bool {
        matches!(&self.state, State::Connected(connection) if connection.paused)
    }

    fn flush(&mut self, synics: &mut [Synic], cx: &mut Context<'_>) {
        while let Some((vp, bytes)) = self.outgoing.front() {
            if self.is_paused() && msg::message_type(bytes) != msg::PAUSE_RESPONSE {
                return;
            }
            // The VP was checked when it was named.
            let Some(synic) = synics.get_mut(*vp as usize) else { return };
            if synic.queued(VMBUS_SINT) >= PORT_BUFFERS {
                return;
            }
            let message = Message { kind: VMBUS_MESSAGE, origin: 0, payload: bytes.clone() };
            synic.post(VMBUS_SINT, message, cx.config, cx.mem, cx.report);
            self.outgoing.pop_front();
        }
    }

    fn serve_channels(&mut self, synics: &mut [Synic], cx: &mut Context<'_>) {
        let connection = match &self.state {
            State::Connected(connection) => Some(*connection),
            _ => None,
        };
        for channel in &mut self.channels {
            if !channel.service(cx.config, &self.gpadls, cx.mem, cx.report) {
                continue;
            }
            let (Some(connection), ChannelState::Open(open)) = (connection, &channel.state) else { continue };
            let (vp, flag) = match (connection.interrupt_page, open.request.signal) {
                (Some(page), _) => {
                    let _ram = cx.mem.set_bit(page + u64::from(channel.relid / 8), (channel.relid % 8) as u8);
                    (0, 0)
                }
                (None, Some((_, flag))) => (open.request.vp, flag),
                (None, None) => (open.request.vp, channel.relid as u16),
            };
            if let Some(synic) = synics.get_mut(vp as usize) {
                synic.signal(VMBUS_SINT, flag, cx.config, cx.mem, cx.report);
            }
        }
    }

    fn handle(&mut self, id: u32, bytes: &[u8], cx: &mut Context<'_>) {
        let kind = msg::message_type(bytes);
        Counters::bump(&mut cx.report.counters.vmbus_from_guest, kind);
        if cx.config.faults.silent || cx.config.faults.ignore_message.contains(&kind) {
            cx.report.log(format!("message {kind} ignored, as configured"));
            return;
        }
        let connection = match &self.state {
            State::Connected(connection) => Some((connection.version, connection.features)),
            // UNLOAD is still understood; the rest is dropped below.
            State::Disconnecting { old, .. } => Some((old.version, old.features)),
            State::Disconnected => None,
        };
        let result = msg::parse(bytes, connection).and_then(|message| match (&mut self.state, message) {
            (_, FromGuest::InitiateContact(contact)) => self.initiate_contact(id, contact, cx),
            (State::Connected(_), FromGuest::Unload) => {
                self.disconnect(After::Unloaded, cx);
                Ok(())
            }
            (State::Disconnecting { after, until, .. }, FromGuest::Unload) => {
                *after = After::Unloaded;
                *until = (*until).max(cx.report.now + cx.config.unload_delay);
                Ok(())
            }
            (State::Connected(_), message) => self.serve(message, cx),
            _ => Err("the connection is being closed"),
        });
        if let Err(why) = result {
            cx.report.breach(Breach::VmbusDropped { message: kind, why });
        }
    }

    fn initiate_contact(&mut self, id: u32, contact: Contact, cx: &mut Context<'_>) -> Result<(), &'static str> {
        let sint = contact.page_or_target as u8;
        if id == msg::MULTI_CLIENT_CONNECTION && contact.version >= msg::V5_0 && usize::from(sint) != VMBUS_SINT {
            return Err("a client of connection 4 must name SINT 2");
        }
        if contact.version >= msg::V3_0 && contact.vp >= cx.config.vps {
            return Err("no such VP for control messages");
        }
        match &mut self.state {
            State::Disconnected => self.contact(contact, cx),
            State::Connected(_) => self.disconnect(After::Contact(contact), cx),
            State::Disconnecting { after, .. } => *after = After::Contact(contact),
        }
        Ok(())
    }

    /// Answers INITIATE_CONTACT, all channels being closed.
    fn contact(&mut self, contact: Contact, cx: &mut Context<'_>) {
        let version = contact.version;
        let vp = if version >= msg::V3_0 { contact.vp } else { 0 };
        let breach = |why| Breach::Vmbus { message: msg::INITIATE_CONTACT, about: version, why };
        if !msg::VERSIONS.contains(&version) || version > cx.config.max_vmbus_version {
            cx.report.log(format!("VMBus {}.{} refused", version >> 16, version & 0xffff));
            self.outgoing.push_back((vp, msg::version_response(None, 0, 0)));
            return;
        }
        let features = contact.features & msg::FEATURES;
        let interrupt_page = (version < msg::V2_4).then_some(contact.page_or_target & !0xfff);
        let bad_page = interrupt_page.is_some_and(|page| page == 0 || !cx.mem.is_ram(page, 4096));
        let half_monitored = (contact.monitor_pages[0] == 0) != (contact.monitor_pages[1] == 0);
        if bad_page || half_monitored {
            cx.report.breach(breach(if bad_page {
                "interrupt page not in RAM"
            } else {
                "one monitor page without the other"
            }));
            self.outgoing.push_back((vp, msg::version_response(Some(version), 2, features)));
            return;
        }
        cx.report.log(format!("VMBus {}.{} connected, messages to VP {vp}", version >> 16, version & 0xffff));
        let connection = Connection { version, features, vp, interrupt_page, offers_sent: false, paused: false };
        self.connections += 1;
        self.state = State::Connected(connection);
        self.outgoing.push_back((vp, msg::version_response(Some(version), 0, features)));
    }

    /// Closes every channel, without a word about it, then does what comes after.
    fn disconnect(&mut self, after: After, cx: &mut Context<'_>) {
        let State::Connected(old) = self.state else { return };
        let mut until = cx.report.now;
        for channel in &mut self.channels {
            match channel.state {
                ChannelState::Open(_) => {
                    if cx.config.faults.stale_messages {
                        let stale = msg::build(msg::RESCIND_CHANNEL_OFFER, &[channel.relid]);
                        self.outgoing.push_back((old.vp, stale));
                    }
                    channel.close_device(false, cx.report);
                    channel.state = ChannelState::Closed;
                    until = until.max(cx.report.now + cx.config.close_delay);
                }
                ChannelState::Closing { until: closing, .. } => until = until.max(closing),
                _ => {}
            }
        }
        if matches!(after, After::Unloaded) {
            until += cx.config.unload_delay;
        }
        self.state = State::Disconnecting { old, after, until };
        self.finish_closing(cx);
    }

    /// Ends what closes by now: channels one by one, or the whole connection.
    pub(super) fn finish_closing(&mut self, cx: &mut Context<'_>) {
        let now = cx.report.now;
        if let State::Disconnecting { old, after, until } = self.state
            && now >= until
        {
            self.forget_connection(now);
            match after {
                After::Unloaded => {
                    cx.report.log("VMBus unloaded".into());
                    if old.version >= msg::V1_1 {
                        self.outgoing.push_back((old.vp, msg::build(msg::UNLOAD_RESPONSE, &[])));
                    }
                }
                After::Contact(contact) => self.contact(contact, cx),
            }
        }
        for index in 0..self.channels.len() {
            let ChannelState::Closing { until, reopen } = self.channels[index].state else { continue };
            if now < until {
                continue;
            }
            self.channels[index].state = ChannelState::Closed;
            self.finish_teardowns(self.channels[index].relid, cx);
            if let Some(open) = reopen {
                self.open(index, open, cx);
            }
        }
    }

    fn forget_connection(&mut self, now: u64) {
        for channel in &mut self.channels {
            channel.state = match channel.state {
                ChannelState::Gone { since } => ChannelState::Gone { since },
                ChannelState::Revoked => ChannelState::Gone { since: now },
                _ => ChannelState::Released,
            };
            channel.relid = 0;
        }
        self.gpadls.clear();
        self.ghosts.clear();
        self.state = State::Disconnected;
    }

    /// A reply on the present connection, perhaps with something unsolicited before it.
    pub(super) fn reply(&mut self, message: Vec<u8>, cx: &Context<'_>) {
        let State::Connected(connection) = self.state else { return };
        if cx.config.faults.unsolicited {
            self.come_and_go(cx.config);
        }
        self.outgoing.push_back((connection.vp, message));
    }

    pub(super) fn free_relid(&self, config: &Config) -> Option<u32> {
        let used: BTreeSet<u32> =
            self.channels.iter().map(|channel| channel.relid).chain(self.ghosts.iter().copied()).collect();
        let first = 1 + config.relid_step.saturating_mul(self.connections.saturating_sub(1));
        (first..=MAX_RELID).find(|relid| !used.contains(relid))
    }

    pub(super) fn index_of(&self, relid: u32) -> Option<usize> {
        self.channels.iter().position(|channel| channel.relid == relid && relid != 0)
    }
}

/// Reads and clears the bits of half an interrupt page.
fn take_bits(half: u64, mem: &mut dyn GuestMemory) -> Vec<u32> {
    let mut bits = vec![0; 256]; // 2048 channels
    if mem.read(half, &mut bits).is_err() {
        return Vec::new();
    }
    let set: BTreeMap<u64, u8> =
        (0..).zip(&bits).filter(|(_, byte)| **byte != 0).map(|(at, byte)| (at, *byte)).collect();
    for &at in set.keys() {
        let _ram = mem.write(half + at, &[0]);
    }
    set.iter()
        .flat_map(|(at, byte)| (0..8).filter(move |bit| byte & 1 << bit != 0).map(move |bit| *at as u32 * 8 + bit))
        .collect()
}
