//! All Ingresses of a cluster, read once.

use std::sync::Arc;

use k8s_openapi::api::networking::v1::Ingress;
use kube::{Api, Client, Error, api::ListParams};

/// How many one answer may hold.
const PAGE: u32 = 500;

/// The Ingresses of all namespaces, whatever their class. Needs the right to list them, and changes nothing.
///
/// After each answer `seen` is told how many were read, and of how many where the server says it.
pub async fn ingresses(
    client: Client,
    seen: impl Fn(u64, Option<u64>),
) -> Result<Vec<Arc<Ingress>>, Error> {
    let api: Api<Ingress> = Api::all(client);
    let mut all = Vec::new();
    let mut params = ListParams::default().limit(PAGE);
    loop {
        let page = api.list(&params).await?;
        all.extend(page.items.into_iter().map(Arc::new));
        let read = all.len() as u64;
        let left = page.metadata.remaining_item_count;
        let left = left.and_then(|left| u64::try_from(left).ok());
        seen(read, left.map(|left| read.saturating_add(left)));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(all),
        }
    }
}
