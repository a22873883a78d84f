//! All Ingresses of a cluster, read once.

use std::sync::Arc;

use k8s_openapi::api::networking::v1::Ingress;
use kube::{Api, Client, Error, api::ListParams};

/// How many one answer may hold.
const PAGE: u32 = 500;

/// The Ingresses of all namespaces, whatever their class. Needs the right to list them, and changes nothing.
pub async fn ingresses(client: Client) -> Result<Vec<Arc<Ingress>>, Error> {
    let api: Api<Ingress> = Api::all(client);
    let mut all = Vec::new();
    let mut params = ListParams::default().limit(PAGE);
    loop {
        let page = api.list(&params).await?;
        all.extend(page.items.into_iter().map(Arc::new));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(all),
        }
    }
}
