//! `deliver`: one message from standard input, in procmail's seat.

use std::io::Read;
use std::path::Path;

use rustix::process::Signal;
use sha2::{Digest, Sha256};

use super::output::Output;
use super::setup::{self, Setup};
use crate::error::{Error, Kind, Result};
use crate::message::{Bytes, ToLf, return_path, without_mbox_line};
use crate::pass::{Passed, World};
use crate::pipeline;
use crate::source::WINDOW;
use crate::state::Stamp;

/// EX_TEMPFAIL: the MTA keeps the message and tries again.
const EX_TEMPFAIL: u8 = 75;

pub(super) fn run(config: &Path, allow_root: bool, output: &Output) -> Result<u8> {
    deliver(config, allow_root, output).map(|()| 0)
}

/// The exit code of a delivery that failed, whatever the error: something is wrong here, and not with the message. An MTA
/// sends a message back for any other code (EX_USAGE, EX_CONFIG …), and keeps it for this one.
pub(super) fn exit_code(usual: u8) -> u8 {
    if usual == 0 { 0 } else { EX_TEMPFAIL }
}

fn deliver(config: &Path, allow_root: bool, output: &Output) -> Result<()> {
    if rustix::process::geteuid().is_root() && !allow_root {
        return Err(Error::permanent(Kind::Auth, "deliver refuses to run as root; --allow-root allows it"));
    }
    let setup = Setup::load(config, &Output { quiet: true, ..*output })?;
    let world = World { allow_root, ..World::open(&setup.config)? };
    if let Err(e) = crate::upkeep::prune(&world) {
        // The message does not wait for it; tomorrow is another day.
        tracing::error!("{e}");
    }
    let (bytes, digest) = read_message(&world, &mut std::io::stdin().lock())?;
    let is_salvage_due = world.has_set_aside();
    let delivered = pipeline::deliver(world, setup.rules, bytes, &digest)?;
    let report = &delivered.report;
    if report.told > 0 || is_salvage_due {
        super::sendmail::send_behind_our_back(config, allow_root);
    }
    if output.json {
        output.passed(&Passed::from(report));
    }
    // A signal between the two would tell the caller that it failed, and the message would be given again as new mail.
    setup::outlive_signals(&[Signal::TERM, Signal::INT, Signal::HUP]);
    drop(delivered);
    Ok(())
}

/// Reads to the end: into memory, or into the spool once it is big. Line ends become LF, as in every Maildir.
fn read_message(world: &World, input: &mut dyn Read) -> Result<(Bytes, String)> {
    let mut start = Vec::new();
    let failed = |e| Error::transient(Kind::Disk, "reading the message from standard input").because(e);
    input.take(WINDOW).read_to_end(&mut start).map_err(failed)?;
    let return_path = return_path(&start);
    let start = without_mbox_line(&start);
    if start.is_empty() {
        return Err(Error::permanent(Kind::Usage, "there is no message on standard input"));
    }
    let mut to_lf = ToLf::default();
    let mut piece = Vec::with_capacity(return_path.len() + start.len());
    to_lf.feed(return_path.as_bytes(), &mut piece);
    to_lf.feed(start, &mut piece);
    let mut hash = Sha256::new();
    let mut writer = None;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = input.read(&mut buffer).map_err(failed)?;
        if read == 0 {
            break;
        }
        if writer.is_none() {
            writer = Some(world.spool(Stamp::default()).begin_incoming()?);
        }
        if let Some(writer) = &mut writer {
            hash.update(&piece);
            writer.write_lf(&piece)?;
        }
        piece.clear();
        to_lf.feed(&buffer[..read], &mut piece);
    }
    to_lf.end(&mut piece);
    hash.update(&piece);
    let digest = data_encoding::HEXLOWER.encode(&hash.finalize());
    let bytes = match writer {
        None => Bytes::Memory(piece),
        Some(mut writer) => {
            writer.write_lf(&piece)?;
            writer.finish()?
        }
    };
    Ok((bytes, digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mbox_line_of_an_mta_is_no_mail() {
        assert_eq!(without_mbox_line(b"From a@b Mon Nov 23\nSubject: x\n"), b"Subject: x\n");
        assert_eq!(without_mbox_line(b"From: a@b\n"), b"From: a@b\n");
    }

    #[test]
    fn the_sender_in_the_mbox_line_becomes_the_return_path() {
        for (start, expected) in [
            ("From x@y.example Sat Nov 23\nSubject: x\n\n", "Return-Path: <x@y.example>\n"),
            ("From MAILER-DAEMON Sat Nov 23\nSubject: x\n\n", "Return-Path: <>\n"),
            ("From x@y.example Sat Nov 23\nReturn-Path: <z@y.example>\n\n", ""),
            ("From root Sat Nov 23\nSubject: x\n\n", ""),
            ("From x@y.example>\rTo: z Sat\nSubject: x\n\n", ""),
            ("Subject: x\n\nFrom x@y.example Sat\n", ""),
        ] {
            assert_eq!(return_path(start.as_bytes()), expected, "{start:?}");
        }
    }
}
