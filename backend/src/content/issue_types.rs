//! `GET app/issue-types`: the words that the forms for issues offer.

use crate::app::App;
use crate::cache::{Section, Shared};
use crate::error::Result;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use entities::rental_issue::RentalIssueType;
use entities::station_issue::StationIssueType;
use serde::Serialize;
use utoipa::ToSchema;

/// What riders can report.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct IssueTypes {
    /// For `stations/{sn}/report-issue`.
    station: Vec<IssueChoice>,
    /// For `rentals/{id}/report-issue`.
    rental: Vec<IssueChoice>,
}

/// A word and what people call it.
#[derive(Debug, Serialize, ToSchema)]
struct IssueChoice {
    /// For the request.
    #[schema(example = "slot_error")]
    issue_type: &'static str,
    /// For people, in English.
    label: &'static str,
    /// For people, in Nepali.
    label_ne: &'static str,
}

/// What riders can report, with words for people.
#[utoipa::path(get, path = "/app/issue-types", tag = "app", responses((status = 200, body = IssueTypes), (status = 304)))]
pub(super) async fn list(State(app): State<App>, headers: HeaderMap) -> Result<Response> {
    let answer = app.cache.get(Section::Words, "issue types", async {
        let station = StationIssueType::ALL.iter().map(|kind| {
            let (label, label_ne) = of_station(*kind);
            IssueChoice { issue_type: kind.as_str(), label, label_ne }
        });
        let rental = RentalIssueType::ALL.iter().map(|kind| {
            let (label, label_ne) = of_rental(*kind);
            IssueChoice { issue_type: kind.as_str(), label, label_ne }
        });
        Ok(Shared::json(&IssueTypes { station: station.collect(), rental: rental.collect() })?.into())
    });
    Ok(answer.await?.response(&headers))
}

fn of_station(kind: StationIssueType) -> (&'static str, &'static str) {
    match kind {
        StationIssueType::Offline => ("The station does not work", "स्टेसन चलेको छैन"),
        StationIssueType::Damaged => ("The station is damaged", "स्टेसन बिग्रिएको छ"),
        StationIssueType::Dirty => ("The station is dirty", "स्टेसन फोहोर छ"),
        StationIssueType::LocationWrong => ("It is not where the map says", "नक्सामा देखाएको ठाउँमा छैन"),
        StationIssueType::SlotError => ("A slot does not work", "स्लटले काम गर्दैन"),
        StationIssueType::AmenityIssue => {
            ("Wifi, restroom or the like is missing", "वाइफाइ, शौचालय जस्ता सुविधा छैन")
        }
    }
}

fn of_rental(kind: RentalIssueType) -> (&'static str, &'static str) {
    match kind {
        RentalIssueType::PowerBankDamaged => ("The power bank is damaged", "पावर बैंक बिग्रिएको छ"),
        RentalIssueType::PowerBankLost => ("I lost the power bank", "पावर बैंक हरायो"),
        RentalIssueType::ChargingIssue => ("It does not charge", "चार्ज हुँदैन"),
        RentalIssueType::ReturnIssue => ("The return does not work", "फिर्ता गर्न सकिएन"),
    }
}
