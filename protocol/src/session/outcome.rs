//! The outcome table of an eject: each way in which it can end, by name.
//!
//! SPEC.md, chapter "Outcome table", holds the same rows with who may say what, the money and what the
//! rider reads. A test compares the two, and the model check of the whole product marks each row that it reaches.

/// What an eject comes to, once a row has run its course.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Settlement {
    /// Nothing was ever begun.
    Nothing,
    /// DONE: the hold stays, the rental runs.
    Rented,
    /// Proven that no bank left: the hold is void.
    Void,
    /// Decided by what the station's journal says: DONE or a proven non-eject.
    AsJournaled,
    /// Nobody knows yet: the hold stays until inventory, a return or staff decide.
    InDoubt,
    /// Staff decide, with all that is known before them.
    ByStaff,
    /// No new settlement: the row repeats what is settled already.
    Unchanged,
}

macro_rules! rows {
    ($( $(#[$doc:meta])* $name:ident = $id:literal, $settlement:ident; )*) => {
        /// One row of the outcome table.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Row { $( $(#[$doc])* $name, )* }

        impl Row {
            /// All rows, in the order of the table: along the way of an eject.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The row's id in SPEC.md.
            pub const fn id(self) -> &'static str {
                match self { $( Self::$name => $id, )* }
            }

            /// What the eject comes to.
            pub const fn settlement(self) -> Settlement {
                match self { $( Self::$name => Settlement::$settlement, )* }
            }
        }
    };
}

rows! {
    /// Nothing fails: DONE, reported and stored.
    NoFault = "O1", Rented;
    /// Backend dies before the start is committed: there is no rental.
    BackendBeforeStartCommit = "O2", Nothing;
    /// Backend dies after the start is committed, before OFFERED: the job offers it at the next start, or finds it expired.
    BackendBeforeOfferCommit = "O3", AsJournaled;
    /// Backend dies after OFFERED is committed, before the gateway heard of it: offered again under the same id.
    BackendAfterOfferCommit = "O4", AsJournaled;
    /// The offer or its answer is lost: offered again under the same id.
    OfferLost = "O5", AsJournaled;
    /// The gateway refuses the offer: proven unsent.
    OfferRefused = "O6", Void;
    /// The command is withdrawn, or expires, before it was written: proven unsent, by the instance it was offered to.
    Withdrawn = "O7", Void;
    /// The withdrawal comes too late: the command is on its way.
    WithdrawnTooLate = "O8", AsJournaled;
    /// Gateway dies with the command in its queue: the next instance knows nothing, the station says NEVER_SEEN.
    GatewayBeforeWrite = "O9", Void;
    /// Gateway dies after it wrote COMMAND: the station's journal is asked.
    GatewayAfterWrite = "O10", AsJournaled;
    /// COMMAND is lost on the link: the station says NEVER_SEEN and will refuse a late copy.
    CommandLost = "O11", Void;
    /// COMMAND comes twice: the journal answers the copy, nothing moves.
    CommandDuplicated = "O12", Unchanged;
    /// A copy of COMMAND comes after NEVER_SEEN: the tombstone refuses it.
    CommandAfterTombstone = "O13", Void;
    /// COMMAND comes after `expires_at`, or the station's clock may be wrong by too much.
    CommandExpired = "O14", Void;
    /// COMMAND carries the epoch of another session: FENCED. A gateway that slept cannot move metal.
    CommandFenced = "O15", Void;
    /// The station refuses: wrong bank, empty or faulty slot, busy.
    CommandRejected = "O16", Void;
    /// Station loses power before anything is journaled: NEVER_SEEN.
    StationBeforeJournal = "O17", Void;
    /// Station loses power while the command waits: nothing moved.
    StationWhileWaiting = "O18", Void;
    /// Station loses power between STARTED and the motor: the bank is still read in its slot.
    StationBeforeMotor = "O19", Void;
    /// Station loses power between the motor and the verdict: the slot is empty.
    StationAfterMotor = "O20", Rented;
    /// Station loses power after STARTED and the slot cannot be read since.
    StationSlotUnreadable = "O21", InDoubt;
    /// CMD_RECEIPT is lost: the result follows, or is asked for.
    ReceiptLost = "O22", AsJournaled;
    /// The motor ran and the bank stayed.
    MotorFailed = "O23", Void;
    /// The motor ran and the sensors do not say what came of it.
    MotorUncertain = "O24", InDoubt;
    /// Station loses power after the verdict is journaled, before CMD_RESULT is queued: the journal is asked.
    StationAfterVerdict = "O25", AsJournaled;
    /// CMD_RESULT is lost on the link: it is sent again in the next session.
    ResultLost = "O26", AsJournaled;
    /// Gateway dies with CMD_RESULT in memory: it was not acknowledged, so it is sent again.
    GatewayBeforeUplink = "O27", AsJournaled;
    /// Backend dies before the inbox commit: nothing was acknowledged, the batch is sent again.
    BackendBeforeInboxCommit = "O28", AsJournaled;
    /// Backend dies after the inbox commit, before the event is applied: applied at the next start.
    BackendBeforeApply = "O29", AsJournaled;
    /// The uplink's answer or the ACK is lost: the event comes again and is a duplicate.
    AcknowledgementLost = "O30", Unchanged;
    /// Applying the event fails: parked with an incident, nobody else is blocked.
    EventParked = "O31", InDoubt;
    /// CMD_QUERY or CMD_STATE is lost: asked again.
    QueryLost = "O32", AsJournaled;
    /// The station says EVICTED: its journal was lost or is too young.
    JournalEvicted = "O33", InDoubt;
    /// The station is away past the expiry: in doubt until it is back.
    StationAway = "O34", InDoubt;
    /// In doubt, then an INVENTORY after the command shows the bank in that very slot.
    InventoryShowsBank = "O35", Void;
    /// In doubt, then an INVENTORY after the command shows the slot empty: the bank left by the command.
    InventoryShowsGone = "O36", Rented;
    /// In doubt, then that very bank comes back: the return is the evidence.
    BankReturned = "O37", Rented;
    /// In doubt for 24 hours: staff decide.
    StaffDecides = "O38", ByStaff;
    /// A verdict arrives that is higher than the one applied: late evidence.
    LateEvidence = "O39", AsJournaled;
}

#[cfg(test)]
mod tests {
    use super::Row;

    /// Rows of the table in SPEC.md begin like `| O12 |`.
    #[test]
    fn the_specification_lists_the_same_rows() {
        let spec = include_str!("../../SPEC.md");
        let listed = spec.lines().filter_map(|line| {
            let id = line.strip_prefix("| ")?.split(' ').next()?;
            id.strip_prefix('O')?.parse::<u32>().ok().map(|_| id)
        });
        assert!(listed.eq(Row::ALL.iter().map(|row| row.id())));
    }
}
