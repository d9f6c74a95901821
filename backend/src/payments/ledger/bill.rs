//! What a rental costs, line by line, and the VAT inside.

use entities::money::Paisa;

use super::{Account, Draft, LedgerError};

pub use crate::app_config::VAT_PERCENT;

/// What a rental costs, VAT inside. Its lines are paid in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bill {
    /// Price of the time that was agreed.
    pub rental: Paisa,
    /// Price of the time beyond it.
    pub late_fee: Paisa,
    /// Price of a bank that did not come back.
    pub lost_bank: Paisa,
}

impl Bill {
    /// All together.
    pub fn total(&self) -> Result<Paisa, LedgerError> {
        Paisa::checked_sum([self.rental, self.late_fee, self.lost_bank]).ok_or(LedgerError::Overflow)
    }

    /// Credits what the network and the state have of this bill once `paid` of it is paid.
    pub(super) fn credit(&self, mut draft: Draft, paid: Paisa) -> Result<Draft, LedgerError> {
        for (account, amount) in self.income(paid)? {
            draft = draft.credit(account, amount)?;
        }
        Ok(draft)
    }

    /// Takes that back.
    pub(super) fn debit(&self, mut draft: Draft, paid: Paisa) -> Result<Draft, LedgerError> {
        for (account, amount) in self.income(paid)? {
            draft = draft.debit(account, amount)?;
        }
        Ok(draft)
    }

    /// Line after line, each taken apart from its first paisa on: however many payments there
    /// are, together they are the split of the whole.
    fn income(&self, paid: Paisa) -> Result<Vec<(Account, Paisa)>, LedgerError> {
        if paid.0 < 0 || paid > self.total()? {
            return Err(LedgerError::NotPositive);
        }
        let mut left = paid.0;
        let mut income = Vec::with_capacity(6);
        for (account, line) in [
            (Account::RevenueRental, self.rental),
            (Account::RevenueLateFee, self.late_fee),
            (Account::LostBankRecoveries, self.lost_bank),
        ] {
            let part = vat_inside(Paisa(left.min(line.0)))?;
            left -= left.min(line.0);
            income.push((account, part.net));
            income.push((Account::VatPayable, part.vat));
        }
        Ok(income)
    }
}

/// A price with VAT inside, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VatSplit {
    /// Income.
    pub net: Paisa,
    /// The state's part.
    pub vat: Paisa,
}

/// `net = round half up (gross × 100 / 113)`, `vat = gross − net`: nothing is lost in rounding.
pub fn vat_inside(gross: Paisa) -> Result<VatSplit, LedgerError> {
    if gross.0 < 0 {
        return Err(LedgerError::NotPositive);
    }
    let divisor = 100 + VAT_PERCENT;
    let net = (i128::from(gross.0) * 200 + divisor) / (2 * divisor);
    let net = i64::try_from(net).map_err(|_| LedgerError::Overflow)?;
    Ok(VatSplit { net: Paisa(net), vat: Paisa(gross.0 - net) })
}
