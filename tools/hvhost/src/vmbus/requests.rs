//! The requests of a connected guest: offers, channels and GPADLs.

use super::channel::{Kind, State as ChannelState};
use super::gpadl::{GpadlKey, Progress, Stage};
use super::messages::{self as msg, FromGuest, Open};
use super::server::{CHANNEL_CONNECTION, Context, LateTeardown, Server, State};
use crate::violations::Breach;

impl Server {
    /// Serves a request on a live connection.
    ///
    /// # Errors
    /// Why it is dropped without a reply.
    pub(super) fn serve(&mut self, message: FromGuest, cx: &mut Context<'_>) -> Result<(), &'static str> {
        match message {
            FromGuest::RequestOffers => self.request_offers(cx),
            FromGuest::OpenChannel(open) => self.open_channel(open, cx),
            FromGuest::CloseChannel { relid } => self.close_channel(relid, cx),
            FromGuest::GpadlHeader { key, len, count, words } => {
                let progress = match self.index_of(key.relid).map(|index| &self.channels[index].state) {
                    None | Some(ChannelState::Revoked) => Progress::Refused(key, "no such channel"),
                    Some(_) if cx.config.faults.fail_gpadl => return self.fail_gpadl(key, cx),
                    Some(_) => self.gpadls.header(key, len, count, words),
                };
                self.gpadl_progress(progress, msg::GPADL_HEADER, cx)
            }
            // The guest does not know yet that the header was refused.
            FromGuest::GpadlBody { .. } if cx.config.faults.fail_gpadl => Ok(()),
            FromGuest::GpadlBody { id, words } => {
                let progress = self.gpadls.body(id, &words);
                self.gpadl_progress(progress, msg::GPADL_BODY, cx)
            }
            FromGuest::GpadlTeardown { key } => self.teardown(key, cx),
            FromGuest::RelidReleased { relid } => self.release(relid, cx),
            FromGuest::ModifyChannel { relid, vp } => self.modify_channel(relid, vp, cx),
            FromGuest::ModifyConnection { monitor_pages: [p2c, c2p] } => {
                let state = if (p2c == 0) == (c2p == 0) { 0 } else { 2 };
                let mut response = msg::build(msg::MODIFY_CONNECTION_RESPONSE, &[]);
                response.push(state);
                self.reply(response, cx);
                Ok(())
            }
            FromGuest::Pause => {
                self.reply(msg::build(msg::PAUSE_RESPONSE, &[]), cx);
                self.set_paused(true);
                Ok(())
            }
            FromGuest::Resume => {
                self.set_paused(false);
                Ok(())
            }
            FromGuest::InitiateContact(_) | FromGuest::Unload => Err("not a request on a connection"),
        }
    }

    fn set_paused(&mut self, paused: bool) {
        if let State::Connected(connection) = &mut self.state {
            connection.paused = paused;
        }
    }

    fn request_offers(&mut self, cx: &mut Context<'_>) -> Result<(), &'static str> {
        let State::Connected(connection) = &mut self.state else { return Err("no connection") };
        if std::mem::replace(&mut connection.offers_sent, true) {
            return Err("offers were already sent on this connection");
        }
        let (version, vp) = (connection.version, connection.vp);
        for index in 0..self.channels.len() {
            let channel = &self.channels[index];
            let absent = match channel.kind {
                Kind::Nic => cx.config.faults.no_nic,
                Kind::ScsiController => cx.config.faults.no_disk,
                Kind::Other => false,
            };
            if absent || !matches!(channel.state, ChannelState::Released) {
                continue;
            }
            let Some(relid) = self.free_relid(cx.config) else { break };
            let channel = &mut self.channels[index];
            channel.relid = relid;
            channel.state = ChannelState::Closed;
            let offer = msg::offer_channel(&channel.offer, relid, CHANNEL_CONNECTION + relid, version);
            self.outgoing.push_back((vp, offer));
        }
        self.outgoing.push_back((vp, msg::build(msg::ALL_OFFERS_DELIVERED, &[])));
        cx.report.log("offers sent".into());
        Ok(())
    }

    fn open_channel(&mut self, open: Open, cx: &mut Context<'_>) -> Result<(), &'static str> {
        let index = self.index_of(open.relid).ok_or("no such channel")?;
        match &mut self.channels[index].state {
            ChannelState::Closed => {}
            ChannelState::Closing { reopen, .. } => {
                *reopen = Some(open);
                return Ok(());
            }
            ChannelState::Open(_) => return Err("the channel is open"),
            // The guest may not have seen the rescind yet.
            ChannelState::Revoked => return Ok(()),
            ChannelState::Released | ChannelState::Gone { .. } => return Err("no such channel"),
        }
        self.open(index, open, cx);
        Ok(())
    }

    pub(super) fn open(&mut self, index: usize, open: Open, cx: &mut Context<'_>) {
        let channel = &mut self.channels[index];
        if cx.config.faults.fail_open {
            cx.report.log(format!("channel {}: open refused, as configured", open.relid));
            self.reply(msg::build(msg::OPEN_CHANNEL_RESULT, &[open.relid, open.open_id, msg::STATUS_FAILED]), cx);
            return;
        }
        let status = match channel.open(open, cx.config.vps, &self.gpadls, cx.mem, cx.report) {
            Ok(()) => 0,
            Err(why) => {
                channel.poisoned = true;
                cx.report.breach(Breach::Vmbus { message: msg::OPEN_CHANNEL, about: open.relid, why });
                msg::STATUS_FAILED
            }
        };
        self.reply(msg::build(msg::OPEN_CHANNEL_RESULT, &[open.relid, open.open_id, status]), cx);
    }

    fn close_channel(&mut self, relid: u32, cx: &mut Context<'_>) -> Result<(), &'static str> {
        let index = self.index_of(relid).ok_or("no such channel")?;
        let channel = &mut self.channels[index];
        match &mut channel.state {
            ChannelState::Open(_) => {}
            ChannelState::Revoked => return Ok(()), // the rescind was quicker
            ChannelState::Closing { reopen: reopen @ Some(_), .. } => {
                *reopen = None;
                return Ok(());
            }
            _ => return Err("the channel is not open"),
        }
        channel.close_device(true, cx.report);
        channel.state = ChannelState::Closing { until: cx.report.now + cx.config.close_delay, reopen: None };
        self.finish_closing(cx);
        Ok(())
    }

    fn gpadl_progress(&mut self, progress: Progress, message: u32, cx: &mut Context<'_>) -> Result<(), &'static str> {
        let (key, status) = match progress {
            Progress::More => return Ok(()),
            Progress::Dropped(why) => return Err(why),
            Progress::Complete(key) => {
                self.report_shared_pages(key, cx);
                (key, 0)
            }
            Progress::Refused(key, why) => {
                cx.report.breach(Breach::Vmbus { message, about: key.id, why });
                (key, msg::STATUS_FAILED)
            }
        };
        self.reply(msg::build(msg::GPADL_CREATED, &[key.relid, key.id, status]), cx);
        Ok(())
    }

    fn fail_gpadl(&mut self, key: GpadlKey, cx: &mut Context<'_>) -> Result<(), &'static str> {
        cx.report.log("GPADL refused, as configured".into());
        self.reply(msg::build(msg::GPADL_CREATED, &[key.relid, key.id, msg::STATUS_FAILED]), cx);
        Ok(())
    }

    /// Pages may be shared once. Pages outside RAM are accepted here and fail where they are used.
    fn report_shared_pages(&self, key: GpadlKey, cx: &mut Context<'_>) {
        let Some(gpadl) = self.gpadls.get(key) else { return };
        let pages = || gpadl.ranges.iter().flat_map(|range| range.pfns.iter().copied());
        let again =
            pages().find(|&pfn| self.gpadls.holds(pfn, Some(key)) || cx.overlays.contains(&pfn.wrapping_mul(4096)));
        if let Some(pfn) = again {
            cx.report.breach(Breach::SharedTwice { gpa: pfn.wrapping_mul(4096) });
        }
        if let Some(pfn) = pages().find(|pfn| pfn.checked_mul(4096).is_none_or(|gpa| !cx.mem.is_ram(gpa, 4096))) {
            let why = "a page is not RAM";
            cx.report.breach(Breach::Vmbus { message: msg::GPADL_HEADER, about: pfn as u32, why });
        }
    }

    fn teardown(&mut self, key: GpadlKey, cx: &mut Context<'_>) -> Result<(), &'static str> {
        let gpadl = self.gpadls.get_mut(key).ok_or("no such GPADL")?;
        match gpadl.stage {
            Stage::InProgress => return Err("the GPADL is not complete"),
            Stage::TearingDown => return Err("the GPADL is already being torn down"),
            Stage::Created => {}
        }
        let channel = self.channels.iter().find(|channel| channel.relid == key.relid);
        if let Some(channel) = channel.filter(|channel| channel.uses(key.id)) {
            // Answered when the channel has closed.
            gpadl.stage = Stage::TearingDown;
            if matches!(channel.state, ChannelState::Open(_)) {
                let why = "torn down while the open channel uses it";
                cx.report.breach(Breach::Vmbus { message: msg::GPADL_TEARDOWN, about: key.id, why });
            }
            return Ok(());
        }
        gpadl.stage = Stage::TearingDown;
        self.torn_down(key, cx);
        Ok(())
    }

    /// Answers a teardown, when the time for that has come.
    fn torn_down(&mut self, key: GpadlKey, cx: &Context<'_>) {
        self.late.push(LateTeardown {
            due: cx.report.now + cx.config.teardown_delay,
            connection: self.connections,
            key,
        });
        self.finish_late_teardowns(cx);
    }

    /// Answers the teardowns that are due.
    pub(super) fn finish_late_teardowns(&mut self, cx: &Context<'_>) {
        let State::Connected(connection) = self.state else { return };
        let due = |late: &LateTeardown| late.due <= cx.report.now;
        for late in self.late.extract_if(.., |late| due(late)).collect::<Vec<_>>() {
            let torn_down = msg::build(msg::GPADL_TORNDOWN, &[late.key.id]);
            if late.connection == self.connections {
                self.gpadls.remove(late.key);
                self.reply(torn_down, cx);
            } else if cx.config.faults.stale_messages {
                self.outgoing.push_back((connection.vp, torn_down));
            }
        }
    }

    /// Answers the teardowns that had to wait for channel `relid` to close.
    pub(super) fn finish_teardowns(&mut self, relid: u32, cx: &Context<'_>) {
        for key in self.gpadls.of_channel(relid) {
            let answered = self.late.iter().any(|late| late.connection == self.connections && late.key == key);
            if !answered && self.gpadls.get(key).is_some_and(|gpadl| gpadl.stage == Stage::TearingDown) {
                self.torn_down(key, cx);
            }
        }
    }

    fn release(&mut self, relid: u32, cx: &mut Context<'_>) -> Result<(), &'static str> {
        if self.ghosts.remove(&relid) {
            return Ok(());
        }
        let index = self.index_of(relid).ok_or("no such channel")?;
        match self.channels[index].state {
            ChannelState::Revoked => self.channels[index].state = ChannelState::Gone { since: cx.report.now },
            ChannelState::Closed => {
                let why = "released without a rescind: gone until the next connection";
                cx.report.breach(Breach::Vmbus { message: msg::RELID_RELEASED, about: relid, why });
                self.channels[index].state = ChannelState::Released;
            }
            _ => return Err("the channel is not closed"),
        }
        for key in self.gpadls.of_channel(relid) {
            self.gpadls.remove(key);
        }
        self.channels[index].relid = 0;
        Ok(())
    }

    fn modify_channel(&mut self, relid: u32, vp: u32, cx: &mut Context<'_>) -> Result<(), &'static str> {
        let index = self.index_of(relid).ok_or("no such channel")?;
        let ChannelState::Open(open) = &mut self.channels[index].state else { return Err("the channel is not open") };
        let ok = vp < cx.config.vps;
        if ok {
            open.request.vp = vp;
        }
        if matches!(&self.state, State::Connected(connection) if connection.version >= msg::V5_3) {
            let status = if ok { 0 } else { msg::STATUS_FAILED };
            self.reply(msg::build(msg::MODIFY_CHANNEL_RESPONSE, &[relid, status]), cx);
        }
        Ok(())
    }

    /// Takes devices away, when that is asked for.
    pub(super) fn rescind_when_due(&mut self, cx: &mut Context<'_>) {
        let faults = &cx.config.faults;
        let counters = &cx.report.counters;
        let nics = faults.rescind_at.is_some_and(|at| cx.report.now >= at)
            || faults.rescind_after.is_some_and(|frames| counters.tx_frames >= frames);
        let disks = faults.rescind_disks_after.is_some_and(|requests| counters.disk_requests >= requests);
        for (kind, due) in [(Kind::Nic, nics), (Kind::ScsiController, disks)] {
            if due && !self.rescinded.contains(&kind) {
                self.rescinded.push(kind);
                self.rescind(kind, cx);
            }
        }
    }

    fn rescind(&mut self, kind: Kind, cx: &mut Context<'_>) {
        cx.report.log(format!("{kind:?} rescinded, as configured"));
        for index in 0..self.channels.len() {
            let channel = &mut self.channels[index];
            if channel.kind != kind {
                continue;
            }
            if channel.relid == 0 {
                channel.state = ChannelState::Gone { since: cx.report.now };
                continue;
            }
            let relid = channel.relid;
            channel.close_device(false, cx.report);
            channel.state = ChannelState::Revoked;
            if let State::Connected(connection) = &self.state {
                let rescind = msg::build(msg::RESCIND_CHANNEL_OFFER, &[relid]);
                self.outgoing.push_back((connection.vp, rescind));
            }
            self.finish_teardowns(relid, cx);
        }
    }

    /// Offers rescinded devices again, when that is asked for.
    pub(super) fn reoffer_when_due(&mut self, cx: &mut Context<'_>) {
        let (State::Connected(connection), Some(delay)) = (&self.state, cx.config.faults.reoffer_after) else { return };
        let (vp, version) = (connection.vp, connection.version);
        if !connection.offers_sent {
            return;
        }
        for index in 0..self.channels.len() {
            let ChannelState::Gone { since } = self.channels[index].state else { continue };
            if cx.report.now < since + delay {
                continue;
            }
            let Some(relid) = self.free_relid(cx.config) else { return };
            let channel = &mut self.channels[index];
            channel.relid = relid;
            channel.state = ChannelState::Closed;
            let offer = msg::offer_channel(&channel.offer, relid, CHANNEL_CONNECTION + relid, version);
            self.outgoing.push_back((vp, offer));
            cx.report.log(format!("{:?} offered again as channel {relid}", self.channels[index].kind));
        }
    }
}
