//! Tokens of service accounts: asked for as a kubelet asks, read, and signed as the API server would sign them.

use std::time::Duration;

use k8s_openapi::ByteString;
use rcgen::SigningKey as _;
use serde_json::{Value, json};

use super::{ApiServer, Error};

/// What a token is asked for.
#[derive(Clone, Copy, Debug)]
pub struct TokenRequest<'a> {
    /// Of the service account.
    pub namespace: &'a str,
    /// The service account's name.
    pub service_account: &'a str,
    /// Whom it is for; where empty, for the API server.
    pub audience: &'a str,
    /// How long it is good for: at least ten minutes, the API server's own limit.
    pub lifetime: Duration,
    /// With what it ends, besides its time.
    pub bound_to: Option<BoundTo<'a>>,
}

/// The object whose end is the end of a token.
#[derive(Clone, Copy, Debug)]
pub enum BoundTo<'a> {
    /// A Pod of the service account, by name; its Node becomes a claim.
    Pod(&'a str),
    /// A Node, by name.
    Node(&'a str),
}

impl ApiServer {
    /// Asks the API server for a token.
    pub async fn token(&self, request: TokenRequest<'_>) -> Result<String, Error> {
        let mut spec = json!({ "expirationSeconds": request.lifetime.as_secs() });
        if !request.audience.is_empty() {
            spec["audiences"] = json!([request.audience]);
        }
        if let Some(bound) = request.bound_to {
            let (kind, name) = match bound {
                BoundTo::Pod(name) => ("Pod", name),
                BoundTo::Node(name) => ("Node", name),
            };
            spec["boundObjectRef"] = json!({"kind": kind, "apiVersion": "v1", "name": name});
        }
        let path = format!(
            "/api/v1/namespaces/{}/serviceaccounts/{}/token",
            request.namespace, request.service_account
        );
        let answer = self
            .request("POST", &path, Some(&json!({ "spec": spec })))
            .await?;
        match answer["status"]["token"].as_str() {
            Some(token) => Ok(token.to_owned()),
            None => Err(Error::Token(answer.to_string())),
        }
    }
}

impl ApiServer {
    /// Signs claims as the API server would, with the header of a token of its own: for tokens that it would not issue, such
    /// as one that ends in a second. Times are in seconds since 1970.
    pub fn sign_token(&self, like: &str, claims: &Value) -> Result<String, Error> {
        let (header, _) = like
            .split_once('.')
            .ok_or_else(|| Error::Token(like.to_owned()))?;
        let message = format!("{header}.{}", encode(claims.to_string().into_bytes()));
        let signature = self.credentials.token_key.sign(message.as_bytes())?;
        Ok(format!("{message}.{}", encode(signature)))
    }
}

/// What a token says, unverified.
pub fn claims(token: &str) -> Result<Value, Error> {
    let claims = token.split('.').nth(1).and_then(decode);
    claims
        .and_then(|claims| serde_json::from_slice(&claims).ok())
        .ok_or_else(|| Error::Token(token.to_owned()))
}

/// base64url, by way of the base64 that Kubernetes has in its JSON.
fn encode(bytes: Vec<u8>) -> String {
    let text = json!(ByteString(bytes));
    let text = text.as_str().unwrap_or_default();
    text.trim_end_matches('=')
        .replace('+', "-")
        .replace('/', "_")
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let padding = "=".repeat(text.len().next_multiple_of(4) - text.len());
    let text = text.replace('-', "+").replace('_', "/") + &padding;
    let bytes: ByteString = serde_json::from_value(json!(text)).ok()?;
    Some(bytes.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64url_goes_there_and_back() {
        for length in 0..5 {
            let bytes = vec![0xfb; length];
            let text = encode(bytes.clone());
            assert!(!text.contains(['+', '/', '=']), "{text}");
            assert_eq!(decode(&text), Some(bytes));
        }
    }
}
