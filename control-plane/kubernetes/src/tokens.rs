//! What an API server knows of service-account tokens: the keys that sign them, and whether one is revoked.

use http::{Request, header::CONTENT_TYPE};
use k8s_openapi::api::authentication::v1::TokenReview;
use kube::{Client, Error};
use serde::Deserialize;
use serde_json::json;

/// What an API server publishes of its tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenIssuer {
    /// The `iss` of its tokens.
    pub issuer: String,
    /// The public keys that sign them: a JSON Web Key set.
    pub jwks: String,
}

/// What an API server says of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenVerdict {
    /// It is good.
    Authenticated,
    /// It is not, or no more: its Pod, its node or its account is gone.
    Refused,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
}

/// Reads issuer and keys from the API server's discovery documents. Every service account may
/// (`system:service-account-issuer-discovery`).
pub async fn token_issuer(client: &Client) -> Result<TokenIssuer, Error> {
    let discovery: Discovery = client
        .request(get("/.well-known/openid-configuration")?)
        .await?;
    let jwks = client.request_text(get("/openid/v1/jwks")?).await?;
    Ok(TokenIssuer {
        issuer: discovery.issuer,
        jwks,
    })
}

fn get(path: &str) -> Result<Request<Vec<u8>>, Error> {
    Request::get(path)
        .body(Vec::new())
        .map_err(Error::HttpError)
}

/// Asks the API server whether a token is (still) good for an audience. Needs the right to create `TokenReview`s
/// (`system:auth-delegator`).
pub async fn review_token(
    client: &Client,
    token: &str,
    audience: &str,
) -> Result<TokenVerdict, Error> {
    let review = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
        "spec": {"token": token, "audiences": [audience]},
    });
    let request = Request::post("/apis/authentication.k8s.io/v1/tokenreviews")
        .header(CONTENT_TYPE, "application/json")
        .body(review.to_string().into_bytes())
        .map_err(Error::HttpError)?;
    // As text: the answer holds the token, and the client library would log an answer that it cannot read.
    let text = client.request_text(request).await?;
    let answer: TokenReview = serde_json::from_str(&text).map_err(Error::SerdeError)?;
    let is_good = answer.status.is_some_and(|status| {
        let audiences = status.audiences.unwrap_or_default();
        status.authenticated == Some(true) && audiences.iter().any(|a| a == audience)
    });
    Ok(if is_good {
        TokenVerdict::Authenticated
    } else {
        TokenVerdict::Refused
    })
}
