//! A row of each table of `invoices.sql`, with a value in every column that can have one.

use super::{Sample, at, id};
use entities::*;

impl Sample for tax_invoice::Entity {
    fn sample() -> tax_invoice::Model {
        tax_invoice::Model {
            id: id(),
            kind: tax_invoice::TaxInvoiceKind::CreditNote,
            fiscal_year: "2082/83".to_owned(),
            serial: 3,
            number: "2082/83-000003".to_owned(),
            transaction_id: id(),
            seller_name: "seller name".to_owned(),
            seller_address: "seller address".to_owned(),
            seller_pan: "123456789".to_owned(),
            buyer_name: "buyer name".to_owned(),
            taxable_paisa: Paisa(8_850),
            vat_paisa: Paisa(1_150),
            total_paisa: Paisa(10_000),
            payment_mode: "wallet".to_owned(),
            corrects: Some(id()),
            date_bs: "2082-10-01".to_owned(),
            supplied_at: at(17),
            issued_at: at(18),
        }
    }
}

impl Sample for tax_invoice_print::Entity {
    fn sample() -> tax_invoice_print::Model {
        tax_invoice_print::Model {
            id: id(),
            invoice_id: id(),
            print_no: 3,
            printed_by: id(),
            printed_at: at(5),
        }
    }
}
