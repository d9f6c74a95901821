//! Every closed list of numbers on the wire. Numbers that this build does not know are kept, never refused:
//! an older end must be able to store and pass on what a newer one says.

macro_rules! codes {
    ($(
        $(#[$doc:meta])*
        pub enum $name:ident: $wire:ty { $( $(#[$variant_doc:meta])* $variant:ident = $number:literal $label:literal, )* }
    )*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
        pub enum $name {
            $( $(#[$variant_doc])* $variant, )*
            /// A number that this build does not know.
            Unknown($wire),
        }

        impl $name {
            /// All known values, ascending by number.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Reads the number on the wire.
            pub const fn from_wire(number: $wire) -> Self {
                match number {
                    $( $number => Self::$variant, )*
                    other => Self::Unknown(other),
                }
            }

            /// The number on the wire.
            pub const fn to_wire(self) -> $wire {
                match self {
                    $( Self::$variant => $number, )*
                    Self::Unknown(number) => number,
                }
            }

            /// The name in SPEC.md, fit for a metric label: a closed set.
            pub const fn label(self) -> &'static str {
                match self {
                    $( Self::$variant => $label, )*
                    Self::Unknown(_) => "unknown",
                }
            }
        }
    )*};
}

codes! {
    /// What went wrong, in ERROR.
    pub enum ErrorCode: u16 {
        /// The bytes are not a frame of this protocol.
        BadMagic = 1 "bad_magic",
        /// The frame layout or the message set is not spoken here.
        UnsupportedVersion = 2 "unsupported_version",
        /// A critical flag is not known.
        UnsupportedFlag = 3 "unsupported_flag",
        /// The payload is longer than agreed.
        TooLong = 4 "too_long",
        /// The CRC does not fit.
        BadCheck = 5 "bad_check",
        /// `seq` is not the next one.
        BadSequence = 6 "bad_sequence",
        /// The payload is not one of its type.
        Malformed = 7 "malformed",
        /// A critical TLV is not known.
        Unsupported = 8 "unsupported",
        /// The message does not belong in this state or direction.
        Unexpected = 9 "unexpected",
        /// The `mac` TLV is wrong or missing.
        BadMac = 10 "bad_mac",
        /// More frames or bytes than the lane's window.
        OverWindow = 11 "over_window",
        /// The other end was silent for too long.
        TimedOut = 12 "timed_out",
        /// A session with a higher epoch has taken over.
        Replaced = 13 "replaced",
        /// Too many frames in a short time.
        RateLimited = 14 "rate_limited",
        /// The sender of ERROR has failed itself.
        Internal = 15 "internal",
    }

    /// What the receiver of ERROR has to do.
    pub enum ErrorClass: u8 {
        /// The session is over; connect again with the usual back-off.
        Fatal = 1 "fatal",
        /// Send the same message again after `retry_after_ms`; the session goes on.
        Retry = 2 "retry",
        /// The session is over; the same attempt will fail again, wait `retry_after_ms`.
        Permanent = 3 "permanent",
        /// The message was skipped; do not send it again; the session goes on.
        Skip = 4 "skip",
    }

    /// Why a login is refused, in RETRY.
    pub enum RetryReason: u8 {
        /// The gateway admits logins at a fixed rate; the wait is this station's place in the queue.
        Busy = 1 "busy",
        /// No common message set.
        Version = 2 "version",
        /// Correctly keyed, not yet approved by an operator.
        NotApproved = 3 "not_approved",
        /// The master key of `key_id` is not known here.
        UnknownKey = 4 "unknown_key",
        /// This key generation, or the station, is revoked.
        Revoked = 5 "revoked",
        /// The epoch is not greater than the last one accepted.
        StaleEpoch = 6 "stale_epoch",
        /// The gateway drains.
        Draining = 7 "draining",
        /// The proof is wrong.
        BadProof = 8 "bad_proof",
        /// The IMEI is not the one on record.
        WrongImei = 9 "wrong_imei",
        /// Two devices use this identity.
        Quarantined = 10 "quarantined",
        /// Something that the login needs is away.
        Unavailable = 11 "unavailable",
    }

    /// Why an end will close, in GOAWAY.
    pub enum GoawayReason: u8 {
        /// The gateway drains for a restart.
        Draining = 1 "draining",
        /// A session with a higher epoch has taken over.
        Replaced = 2 "replaced",
        /// The station restarts.
        Rebooting = 3 "rebooting",
        /// An operator closed the session.
        Operator = 4 "operator",
        /// Stations are moved to another gateway.
        Rebalance = 5 "rebalance",
        /// The station's key or admission was withdrawn.
        Revoked = 6 "revoked",
        /// The station loses its supply.
        PowerLow = 7 "power_low",
    }

    /// How the station's last connection ended, in HELLO.
    pub enum DisconnectReason: u8 {
        /// There was none since the boot.
        None = 0 "none",
        /// The other end closed it.
        Closed = 1 "closed",
        /// It was reset.
        Reset = 2 "reset",
        /// Nothing came for 1.5 keepalives.
        Silence = 3 "silence",
        /// GOAWAY.
        Goaway = 4 "goaway",
        /// An ERROR of the gateway.
        ErrorReceived = 5 "error_received",
        /// The gateway broke the protocol.
        ProtocolError = 6 "protocol_error",
        /// RETRY.
        Retry = 7 "retry",
        /// The login took too long, or TCP did not connect.
        LoginTimeout = 8 "login_timeout",
        /// The modem lost its network.
        LinkLost = 9 "link_lost",
        /// The gateway's proof was wrong.
        BadGateway = 10 "bad_gateway",
    }

    /// Why the controller started, in EVENT `booted`.
    pub enum ResetReason: u8 {
        /// Not known.
        Other = 0 "other",
        /// Supply switched on.
        PowerOn = 1 "power_on",
        /// Supply sagged.
        BrownOut = 2 "brown_out",
        /// The watchdog fired.
        Watchdog = 3 "watchdog",
        /// A REBOOT command.
        Command = 4 "command",
        /// A new firmware starts.
        Firmware = 5 "firmware",
        /// The firmware gave up.
        Crash = 6 "crash",
    }

    /// What a person should look at, in ALARM.
    pub enum AlarmCode: u16 {
        /// The cabinet or a bank is too hot.
        OverTemperature = 1 "over_temperature",
        /// The supply is too weak to run motors.
        SupplyLow = 2 "supply_low",
        /// The cabinet was opened.
        DoorOpen = 3 "door_open",
        /// The cabinet was moved or tilted.
        Tilted = 4 "tilted",
        /// The command journal was lost.
        JournalLost = 5 "journal_lost",
        /// The event queue was full: events are missing.
        EventsLost = 6 "events_lost",
        /// The flash is worn.
        FlashWorn = 7 "flash_worn",
        /// A motor draws too much.
        MotorOverload = 8 "motor_overload",
        /// The station met a gateway that could not prove itself.
        GatewayUnproven = 9 "gateway_unproven",
    }

    /// What a station is asked to do, in COMMAND.
    pub enum CommandKind: u8 {
        /// Give one power bank out for a rental.
        Eject = 1 "eject",
        /// Give one power bank out to staff.
        EjectForService = 2 "eject_for_service",
        /// Take a slot out of use.
        LockSlot = 3 "lock_slot",
        /// Put a slot back in use.
        UnlockSlot = 4 "unlock_slot",
        /// Send an INVENTORY now.
        QueryInventory = 5 "query_inventory",
        /// Restart the controller.
        Reboot = 6 "reboot",
        /// Set the loudspeaker, `argument` 0–100 percent.
        SetVolume = 7 "set_volume",
        /// Connect to another address from now on.
        SetServer = 8 "set_server",
        /// Read the SIM card's number.
        QueryIccid = 9 "query_iccid",
        /// Make a sound so that staff find the station.
        Ring = 10 "ring",
    }

    /// How a command is known to be done.
    pub enum DoneReason: u8 {
        /// Sensors saw it happen.
        Confirmed = 0 "confirmed",
        /// Power was lost after the motor started; the slot is empty.
        ByInventory = 1 "by_inventory",
    }

    /// Why the bank is proven to be still in its slot.
    pub enum FailReason: u8 {
        /// The motor is home and the same bank is read in the slot.
        BankStayed = 1 "bank_stayed",
        /// The motor never moved.
        MotorDidNotStart = 2 "motor_did_not_start",
        /// Power was lost after STARTED; the same bank is read in the slot.
        ByInventory = 3 "by_inventory",
        /// A command that moves nothing could not be carried out.
        NotCarriedOut = 4 "not_carried_out",
    }

    /// Why a command was refused before anything moved.
    pub enum RejectReason: u8 {
        /// Past `expires_at_ms`.
        Expired = 1 "expired",
        /// The station's clock may be wrong by more than `max_clock_error_ms`.
        ClockError = 2 "clock_error",
        /// Another bank is in the slot.
        WrongBank = 3 "wrong_bank",
        /// The slot is empty.
        SlotEmpty = 4 "slot_empty",
        /// There is no such slot.
        NoSuchSlot = 5 "no_such_slot",
        /// One actuation runs and four wait.
        Busy = 6 "busy",
        /// The epoch in the command is not the session's.
        Fenced = 7 "fenced",
        /// The slot was taken out of use.
        SlotDisabled = 8 "slot_disabled",
        /// The slot has a fault.
        SlotFault = 9 "slot_fault",
        /// The kind is not known.
        UnsupportedKind = 10 "unsupported_kind",
        /// The argument is out of range.
        BadArgument = 11 "bad_argument",
        /// The station has said NEVER_SEEN of this id and keeps its word.
        Tombstone = 12 "tombstone",
        /// The supply is too weak to run a motor.
        PowerLow = 13 "power_low",
        /// The journal could not be written.
        JournalFailed = 14 "journal_failed",
        /// Power was lost while it waited for another actuation.
        PowerLost = 15 "power_lost",
    }

    /// Why the outcome is not known.
    pub enum UncertainReason: u8 {
        /// The motor is not home.
        MotorNotHome = 1 "motor_not_home",
        /// The sensors contradict each other.
        SensorsDisagree = 2 "sensors_disagree",
        /// Power was lost and the slot cannot be read since.
        PowerLost = 3 "power_lost",
        /// The slot holds another bank now.
        OtherBank = 4 "other_bank",
        /// The slot holds something that cannot be read.
        Unreadable = 5 "unreadable",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_numbers_are_kept() {
        for number in 0..=u8::MAX {
            assert_eq!(RejectReason::from_wire(number).to_wire(), number);
            assert_eq!(CommandKind::from_wire(number).to_wire(), number);
        }
        for number in 0..=u16::MAX {
            assert_eq!(ErrorCode::from_wire(number).to_wire(), number);
        }
        assert_eq!(RetryReason::from_wire(200), RetryReason::Unknown(200));
        assert_eq!(RetryReason::from_wire(200).label(), "unknown");
    }
}
