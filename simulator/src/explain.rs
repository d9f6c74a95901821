//! What a station says, hears and does, a line each: what `chautari station` prints.

use std::io::Write;

use protocol::explain::{describe, time_of_day};
use protocol::frame::Frame;
use protocol::session::commands::{Action, ActuationOutcome};
use protocol::session::station::Happening;

use crate::station::{Note, Observer};

/// Writes what a station says, hears and does, a line each.
#[derive(Debug)]
pub struct Explainer<W> {
    out: W,
    has_colours: bool,
}

impl<W: Write + Send> Explainer<W> {
    /// Colours are for terminals.
    pub const fn new(out: W, has_colours: bool) -> Self {
        Self { out, has_colours }
    }

    fn line(&mut self, at_wall_ms: u64, colour: Colour, mark: &str, text: &str) {
        let time = time_of_day(at_wall_ms);
        let (begin, end) = if self.has_colours { (colour.code(), "\x1b[0m") } else { ("", "") };
        // Nobody is left to be told when the output is gone.
        let _ = writeln!(self.out, "{time}  {begin}{mark} {text}{end}");
    }

    fn frame(&mut self, at_wall_ms: u64, colour: Colour, mark: &str, frame: &Frame<'_>) {
        let (kind, seq) = (format!("{:?}", frame.header.kind), frame.header.seq);
        self.line(at_wall_ms, colour, mark, &format!("{kind:<11} #{seq:<4} {}", describe(frame)));
    }
}

impl<W: Write + Send> Observer for Explainer<W> {
    fn sent(&mut self, at_wall_ms: u64, frame: &Frame<'_>) {
        self.frame(at_wall_ms, Colour::Cyan, "-->", frame);
    }

    fn received(&mut self, at_wall_ms: u64, frame: &Frame<'_>) {
        self.frame(at_wall_ms, Colour::Green, "<--", frame);
    }

    fn noted(&mut self, at_wall_ms: u64, note: &Note) {
        let colour = match note {
            Note::Acting(_) | Note::Acted(..) | Note::Happened(_) => Colour::Yellow,
            Note::PowerCut(_) | Note::HalfOpen => Colour::Red,
            Note::Booted { .. } | Note::Connecting | Note::Connected | Note::Closed(_) => Colour::Grey,
        };
        self.line(at_wall_ms, colour, " * ", &describe_note(note));
    }
}

fn describe_note(note: &Note) -> String {
    match note {
        Note::Booted { boot_no } => format!("the controller starts: boot {boot_no}"),
        Note::Connecting => "connects".to_owned(),
        Note::Connected => "connected".to_owned(),
        Note::Closed(reason) => format!("the connection is closed: {}", reason.label()),
        Note::Acting(actuation) => match actuation.action {
            Action::Eject { slot, bank } => format!("the motor of slot {slot} pushes bank {bank} out"),
            Action::SetSlotDisabled { slot, disabled: true } => format!("slot {slot} is taken out of use"),
            Action::SetSlotDisabled { slot, disabled: false } => format!("slot {slot} is put back in use"),
            Action::SetVolume(percent) => format!("the loudspeaker is set to {percent}"),
            Action::Ring => "the loudspeaker rings".to_owned(),
            Action::Reboot => "the controller restarts".to_owned(),
        },
        Note::Acted(_, ActuationOutcome::Finished) => "done".to_owned(),
        Note::Acted(_, ActuationOutcome::MotorNotHome) => "the motor is not home".to_owned(),
        Note::Acted(_, ActuationOutcome::DidNotStart) => "the motor did not start".to_owned(),
        Note::Happened(Happening::BankInserted { slot, bank, .. }) => {
            format!("somebody puts bank {bank} into slot {slot}")
        }
        Note::Happened(Happening::BankRemoved { slot, bank }) => {
            format!("somebody pulls bank {bank} out of slot {slot}")
        }
        Note::Happened(happening) => format!("noticed: {happening:?}"),
        Note::PowerCut(Some(step)) => format!("the power goes: {}", step.label()),
        Note::PowerCut(None) => "the power goes".to_owned(),
        Note::HalfOpen => "the network goes silent, and nobody is told".to_owned(),
    }
}

#[derive(Clone, Copy, Debug)]
enum Colour {
    Cyan,
    Green,
    Yellow,
    Red,
    Grey,
}

impl Colour {
    const fn code(self) -> &'static str {
        match self {
            Self::Cyan => "\x1b[36m",
            Self::Green => "\x1b[32m",
            Self::Yellow => "\x1b[33m",
            Self::Red => "\x1b[31m",
            Self::Grey => "\x1b[90m",
        }
    }
}
