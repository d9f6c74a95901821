//! The accounts of the ledger.

use entities::id::UserId;
use entities::ledger_account::LedgerAccountKind;

/// Where money can be. The order is the order in which balances are locked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Account {
    /// What a rider can spend. Never below zero.
    UserWallet(UserId),
    /// What is set aside for a rider's running rentals. Never below zero.
    UserHold(UserId),
    /// Money a provider has taken from riders and not settled to the bank yet.
    ProviderClearing(String),
    /// What a provider keeps of a settlement.
    ProviderFees(String),
    /// Our account at the bank.
    Bank,
    /// Rental income without VAT.
    RevenueRental,
    /// Late fees without VAT.
    RevenueLateFee,
    /// VAT collected for the state.
    VatPayable,
    /// Gifts: goodwill credits, coupons, points turned into money.
    PromotionExpense,
    /// Refunds on their way to a provider.
    RefundClearing,
    /// Money that nobody could be named for yet.
    Suspense,
    /// Paid for banks that never came back.
    LostBankRecoveries,
}

impl Account {
    /// What the row in `ledger_accounts` says.
    pub fn kind(&self) -> LedgerAccountKind {
        match self {
            Self::UserWallet(_) => LedgerAccountKind::UserWallet,
            Self::UserHold(_) => LedgerAccountKind::UserHold,
            Self::ProviderClearing(_) => LedgerAccountKind::ProviderClearing,
            Self::ProviderFees(_) => LedgerAccountKind::ProviderFees,
            Self::Bank => LedgerAccountKind::Bank,
            Self::RevenueRental => LedgerAccountKind::RevenueRental,
            Self::RevenueLateFee => LedgerAccountKind::RevenueLateFee,
            Self::VatPayable => LedgerAccountKind::VatPayable,
            Self::PromotionExpense => LedgerAccountKind::PromoExpense,
            Self::RefundClearing => LedgerAccountKind::RefundClearing,
            Self::Suspense => LedgerAccountKind::Suspense,
            Self::LostBankRecoveries => LedgerAccountKind::LostBankRecoveries,
        }
    }

    /// The rider whose balance this is; those accounts alone keep a balance row.
    pub fn owner(&self) -> Option<UserId> {
        match self {
            Self::UserWallet(user) | Self::UserHold(user) => Some(*user),
            Self::ProviderClearing(_)
            | Self::ProviderFees(_)
            | Self::Bank
            | Self::RevenueRental
            | Self::RevenueLateFee
            | Self::VatPayable
            | Self::PromotionExpense
            | Self::RefundClearing
            | Self::Suspense
            | Self::LostBankRecoveries => None,
        }
    }

    /// The provider whose account this is.
    pub fn provider(&self) -> Option<&str> {
        match self {
            Self::ProviderClearing(provider) | Self::ProviderFees(provider) => Some(provider),
            Self::UserWallet(_)
            | Self::UserHold(_)
            | Self::Bank
            | Self::RevenueRental
            | Self::RevenueLateFee
            | Self::VatPayable
            | Self::PromotionExpense
            | Self::RefundClearing
            | Self::Suspense
            | Self::LostBankRecoveries => None,
        }
    }
}
