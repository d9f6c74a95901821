//! Tax invoices and credit notes as Nepal's VAT rules want them: numbered without gaps in each
//! fiscal year, never changed, and every reprint marked as a copy.
//!
//! Amounts come from the ledger's postings and from nowhere else, so a paper always agrees with the
//! books. Revenue gets an invoice, revenue that is given back a credit note that names it; a top-up
//! is no sale and gets a plain receipt. [`issue`] is the job that numbers them after the capture,
//! so that captures do not wait for each other; [`receipt`] shows them.

pub mod bikram_sambat;
pub mod issue;
pub mod receipt;
