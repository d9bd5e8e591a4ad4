//! What a request may ask, and how it is answered.
//!
//! A body is parsed in two steps: into a struct of plain types (a wrong type is a 400), then by
//! hand into values of the domain (a value against the rules is a 422 that names the field).

use axum::{Router, extract::State, http::StatusCode, routing::post};
use domain::InvalidValue;
use serde::Deserialize;
use service::{ApiError, Json};

use crate::{
    AppState,
    mailer::{Mail, Outcome, SendError},
};

/// The routes, without what all services share.
pub fn router(state: AppState) -> Router {
    Router::new().route("/send", post(send)).with_state(state)
}

#[derive(Deserialize)]
struct SendBody {
    order_id: String,
    customer_id: String,
    kind: String,
}

/// 202: the mail server has the mail, from now or from an earlier request. Whether it arrives is
/// not ours to know.
async fn send(
    State(state): State<AppState>,
    Json(body): Json<SendBody>,
) -> Result<StatusCode, ApiError> {
    let mail = parse_mail(&body).map_err(ApiError::unprocessable)?;
    match state.mailer.send(mail).await? {
        Outcome::Sent => Ok(StatusCode::ACCEPTED),
        Outcome::BeingSent => Err(ApiError::busy("this mail is being sent")),
    }
}

fn parse_mail(body: &SendBody) -> Result<Mail, InvalidValue> {
    Ok(Mail {
        order: body.order_id.parse()?,
        customer: body.customer_id.parse()?,
        kind: body.kind.parse()?,
    })
}

impl From<SendError> for ApiError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Database(error) => error.into(),
            SendError::BrokeOff(error) => Self::Internal(error.into()),
        }
    }
}
