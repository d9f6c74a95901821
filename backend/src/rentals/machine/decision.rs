//! What follows from something learned about a rental: everything that the shell has to write.

use super::rental::{Place, Rental};
use chrono::{DateTime, Utc};

/// What is to be done with the money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Money {
    /// Nothing.
    Keep,
    /// Give the hold back whole.
    Void,
    /// Charge for the time between; what the hold does not cover comes from the wallet or is due.
    Charge {
        /// When the bank left.
        started_at: DateTime<Utc>,
        /// When it came back.
        ended_at: DateTime<Utc>,
    },
    /// Charge for the time agreed and for the bank, which is lost.
    ChargeLost {
        /// When the bank left.
        started_at: DateTime<Utc>,
    },
    /// It was charged as lost: charge for the time between instead, and give the rest back.
    Recharge {
        /// When the bank left.
        started_at: DateTime<Utc>,
        /// When it came back.
        ended_at: DateTime<Utc>,
    },
}

/// What is to be done with the rider's count of open rentals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Seat {
    /// Nothing.
    Keep,
    /// One less.
    Release,
    /// One more, whatever the limit: the bank *is* out.
    Retake,
}

/// What is now known of the bank's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bank {
    /// Nothing new.
    Keep,
    /// It left its slot and is with the rider.
    WithRider,
    /// It never left its slot.
    StillIn,
    /// It is in this slot.
    Returned(Place),
    /// Nobody knows where it is; it is looked for.
    Lost,
}

/// What to ask the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ask {
    /// Nothing.
    Nothing,
    /// The gateway, to withdraw the eject.
    Withdraw,
}

/// Something that staff should look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Incident {
    /// DONE came after the rental was cancelled; it was opened again, without a hold.
    Reopened,
    /// DONE came after the rental was closed, and the bank is rented or placed elsewhere.
    LateEject,
    /// Two proofs about one command say the opposite.
    Contradiction,
    /// The bank did not come back for so long that it was charged as lost.
    Lost,
    /// A bank that had been charged as lost is back; the charge was turned round.
    FoundAgain,
    /// The bank was seen somewhere before it left its slot: an older story.
    StaleSighting,
}

/// What the rider and other domains are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum News {
    /// The bank is out.
    Started,
    /// The bank never left.
    Cancelled,
    /// The bank is back.
    Completed,
    /// The time is over.
    Overdue,
    /// The bank counts as lost and is charged.
    Lost,
    /// In doubt for long: the rider may rent again.
    DoubtReleased,
}

/// What follows from an [`Event`](super::rental::Event).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Decision {
    /// The rental after it. Equal to the one before: nothing was learned.
    pub next: Rental,
    /// What the money does.
    pub money: Money,
    /// What the rider's count does.
    pub seat: Seat,
    /// What the bank did.
    pub bank: Bank,
    /// What to ask.
    pub ask: Ask,
    /// What staff should see.
    pub incident: Option<Incident>,
    /// Whom to tell.
    pub news: Option<News>,
}

impl Decision {
    pub(super) fn nothing(rental: Rental) -> Self {
        Self {
            next: rental,
            money: Money::Keep,
            seat: Seat::Keep,
            bank: Bank::Keep,
            ask: Ask::Nothing,
            incident: None,
            news: None,
        }
    }

    pub(super) fn incident(rental: Rental, incident: Incident) -> Self {
        Self { incident: Some(incident), ..Self::nothing(rental) }
    }
}
