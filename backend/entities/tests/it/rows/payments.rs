//! A row of each table of `payments.sql`, with a value in every column that can have one.

use super::{Sample, at, id, json};
use entities::*;

impl Sample for payment_method::Entity {
    fn sample() -> payment_method::Model {
        payment_method::Model {
            id: id(),
            name: "name".to_owned(),
            gateway: "gateway".to_owned(),
            is_active: true,
            configuration: json(),
            min_amount_paisa: Paisa(1_005),
            max_amount_paisa: Paisa(1_006),
            supported_currencies: json(),
            created_at: at(8),
            updated_at: at(9),
        }
    }
}

impl Sample for transaction::Entity {
    fn sample() -> transaction::Model {
        use transaction::{PaymentMethodType, TransactionStatus, TransactionType};
        transaction::Model {
            id: id(),
            user_id: id(),
            transaction_id: "transaction id".to_owned(),
            transaction_type: TransactionType::Fine,
            amount_paisa: Paisa(1_004),
            currency: "currency".to_owned(),
            status: TransactionStatus::Refunded,
            payment_method_type: PaymentMethodType::Gateway,
            payment_method_id: Some(id()),
            gateway_reference: Some("gateway reference".to_owned()),
            related_rental: Some(id()),
            gateway_response: json(),
            entry_id: Some(id()),
            created_at: at(13),
            updated_at: at(14),
        }
    }
}

impl Sample for wallet::Entity {
    fn sample() -> wallet::Model {
        wallet::Model {
            id: id(),
            user_id: id(),
            balance_paisa: Paisa(1_002),
            currency: "currency".to_owned(),
            is_active: true,
            created_at: at(5),
            updated_at: at(6),
        }
    }
}

impl Sample for wallet_transaction::Entity {
    fn sample() -> wallet_transaction::Model {
        use wallet_transaction::WalletTransactionType;
        wallet_transaction::Model {
            id: id(),
            wallet_id: id(),
            transaction_type: WalletTransactionType::Adjustment,
            amount_paisa: Paisa(1_003),
            balance_before_paisa: Paisa(1_004),
            balance_after_paisa: Paisa(1_005),
            description: "description".to_owned(),
            metadata: json(),
            transaction_id: Some(id()),
            created_at: at(9),
        }
    }
}

impl Sample for payment_intent::Entity {
    fn sample() -> payment_intent::Model {
        use payment_intent::{PaymentIntentStatus, PaymentIntentType};
        payment_intent::Model {
            id: id(),
            user_id: id(),
            intent_id: "intent id".to_owned(),
            intent_type: PaymentIntentType::DuePayment,
            amount_paisa: Paisa(1_004),
            currency: "currency".to_owned(),
            status: PaymentIntentStatus::Cancelled,
            payment_method_id: id(),
            gateway_url: Some("gateway url".to_owned()),
            related_rental: Some(id()),
            intent_metadata: json(),
            expires_at: at(11),
            created_at: at(12),
            completed_at: Some(at(13)),
        }
    }
}

impl Sample for payment_attempt::Entity {
    fn sample() -> payment_attempt::Model {
        use payment_attempt::PaymentAttemptState;
        payment_attempt::Model {
            id: id(),
            intent_id: id(),
            provider: "provider".to_owned(),
            provider_reference: Some("provider reference".to_owned()),
            provider_transaction_id: Some("provider transaction".to_owned()),
            state: PaymentAttemptState::Mismatch,
            amount_paisa: Paisa(1_005),
            detail: json(),
            next_check_at: Some(at(7)),
            expires_at: at(8),
            created_at: at(9),
            settled_at: Some(at(10)),
        }
    }
}

impl Sample for sandbox_payment::Entity {
    fn sample() -> sandbox_payment::Model {
        use sandbox_payment::SandboxPaymentState;
        sandbox_payment::Model {
            id: id(),
            reference: "reference".to_owned(),
            merchant_reference: "merchant reference".to_owned(),
            amount_paisa: Paisa(1_003),
            currency: "currency".to_owned(),
            state: SandboxPaymentState::Refunded,
            return_url: "return url".to_owned(),
            created_at: at(7),
            expires_at: at(8),
            paid_at: Some(at(9)),
        }
    }
}

impl Sample for sandbox_refund::Entity {
    fn sample() -> sandbox_refund::Model {
        sandbox_refund::Model {
            id: id(),
            payment_id: id(),
            merchant_reference: "merchant reference".to_owned(),
            amount_paisa: Paisa(1_003),
            created_at: at(4),
        }
    }
}

impl Sample for payment_webhook::Entity {
    fn sample() -> payment_webhook::Model {
        use payment_webhook::WebhookStatus;
        payment_webhook::Model {
            id: id(),
            gateway: "gateway".to_owned(),
            event_type: "event type".to_owned(),
            payload: json(),
            status: WebhookStatus::Failed,
            processing_result: Some("processing result".to_owned()),
            event_key: Some("event key".to_owned()),
            transaction_id: Some(id()),
            received_at: at(8),
            processed_at: Some(at(9)),
        }
    }
}

impl Sample for refund::Entity {
    fn sample() -> refund::Model {
        use refund::{RefundDestination, RefundStatus};
        refund::Model {
            id: id(),
            transaction_id: id(),
            requested_by: id(),
            amount_paisa: Paisa(1_003),
            reason: "reason".to_owned(),
            status: RefundStatus::Processed,
            gateway_reference: Some("gateway reference".to_owned()),
            approved_by: Some(id()),
            requested_at: at(8),
            processed_at: Some(at(9)),
            destination: RefundDestination::Provider,
            attempt_id: Some(id()),
            refund_transaction_id: Some(id()),
            decision_note: Some("decision note".to_owned()),
            decided_at: Some(at(14)),
            submitted_at: Some(at(15)),
            accepted_at: Some(at(16)),
            next_check_at: Some(at(17)),
            last_error: Some("last error".to_owned()),
        }
    }
}

impl Sample for ledger_account::Entity {
    fn sample() -> ledger_account::Model {
        use ledger_account::LedgerAccountKind;
        ledger_account::Model {
            id: id(),
            kind: LedgerAccountKind::UserWallet,
            owner_id: Some(id()),
            provider: None,
            created_at: at(4),
        }
    }
}

impl Sample for ledger_entry::Entity {
    fn sample() -> ledger_entry::Model {
        ledger_entry::Model {
            id: id(),
            kind: "kind".to_owned(),
            business_key: "business key".to_owned(),
            description: "description".to_owned(),
            happened_at: at(4),
            created_at: at(5),
        }
    }
}

impl Sample for ledger_posting::Entity {
    fn sample() -> ledger_posting::Model {
        ledger_posting::Model { id: id(), entry_id: id(), account_id: id(), amount_paisa: Paisa(1_003) }
    }
}

impl Sample for ledger_balance::Entity {
    fn sample() -> ledger_balance::Model {
        ledger_balance::Model { account_id: id(), balance_paisa: Paisa(1_001), updated_at: at(2) }
    }
}

impl Sample for hold::Entity {
    fn sample() -> hold::Model {
        use hold::HoldState;
        hold::Model {
            id: id(),
            user_id: id(),
            rental_id: id(),
            amount_paisa: Paisa(1_000),
            points: 40,
            points_paisa: Paisa(400),
            state: HoldState::Captured,
            captured_paisa: Paisa(900),
            created_at: at(6),
            resolved_at: Some(at(7)),
        }
    }
}
