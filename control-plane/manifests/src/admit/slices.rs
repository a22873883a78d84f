//! EndpointSlices as controllers make them: names, labels, at most 100 endpoints each.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        core::v1::Service,
        discovery::v1::{Endpoint, EndpointPort, EndpointSlice},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use meshlite_compile::ObjectKey;
use meshlite_snapshot::AddressFamily;
use twox_hash::XxHash3_64;

use super::families;

/// The Service of a slice.
pub(super) const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// Who maintains a slice.
pub(super) const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
/// The controller that makes slices of Pods.
pub(super) const SLICE_CONTROLLER: &str = "endpointslice-controller.k8s.io";
/// The controller that makes slices of Endpoints.
pub(super) const MIRRORING_CONTROLLER: &str = "endpointslicemirroring-controller.k8s.io";
const HEADLESS: &str = "service.kubernetes.io/headless";

const MAX_ENDPOINTS: usize = 100;

/// What the endpoints of one slice have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Shape {
    pub(super) family: AddressFamily,
    pub(super) ports: Vec<Port>,
}

/// One port of a slice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Port {
    pub(super) name: String,
    pub(super) protocol: String,
    pub(super) number: u16,
    pub(super) app_protocol: Option<String>,
}

/// The slices of one Service.
#[derive(Debug)]
pub(super) struct Slices<'a> {
    pub(super) service: &'a ObjectKey,
    pub(super) managed_by: &'static str,
    pub(super) headless: bool,
    pub(super) by_shape: BTreeMap<Shape, Vec<Endpoint>>,
}

impl<'a> Slices<'a> {
    pub(super) fn new(service: &'a ObjectKey, managed_by: &'static str, object: &Service) -> Self {
        Self {
            service,
            managed_by,
            headless: object.spec.as_ref().is_some_and(families::is_headless),
            by_shape: BTreeMap::new(),
        }
    }

    pub(super) fn add(&mut self, shape: Shape, endpoint: Endpoint) {
        self.by_shape.entry(shape).or_default().push(endpoint);
    }

    /// The slices, each under a name that `is_free`. A slice keeps its name while it has the same ports.
    pub(super) fn into_slices(
        self,
        is_free: impl Fn(&ObjectKey) -> bool,
    ) -> BTreeMap<ObjectKey, EndpointSlice> {
        let mut slices = BTreeMap::new();
        let labels = self.labels();
        for (shape, endpoints) in self.by_shape {
            for (i, endpoints) in endpoints.chunks(MAX_ENDPOINTS).enumerate() {
                let mut attempt = 0;
                let mut key = name(self.service, &shape, i, attempt);
                while slices.contains_key(&key) || !is_free(&key) {
                    attempt += 1;
                    key = name(self.service, &shape, i, attempt);
                }
                let slice = EndpointSlice {
                    address_type: families::name(shape.family).to_owned(),
                    endpoints: Some(endpoints.to_vec()),
                    metadata: ObjectMeta {
                        name: Some(key.name.clone()),
                        namespace: Some(key.namespace.clone()),
                        labels: Some(labels.clone()),
                        ..ObjectMeta::default()
                    },
                    ports: Some(shape.ports.iter().map(Port::to_kubernetes).collect()),
                };
                slices.insert(key, slice);
            }
        }
        slices
    }

    fn labels(&self) -> BTreeMap<String, String> {
        let mut labels = BTreeMap::from([
            (SERVICE_NAME.to_owned(), self.service.name.clone()),
            (MANAGED_BY.to_owned(), self.managed_by.to_owned()),
        ]);
        if self.headless {
            labels.insert(HEADLESS.to_owned(), String::new());
        }
        labels
    }
}

impl Port {
    fn to_kubernetes(&self) -> EndpointPort {
        EndpointPort {
            app_protocol: self.app_protocol.clone(),
            name: Some(self.name.clone()),
            port: Some(self.number.into()),
            protocol: Some(self.protocol.clone()),
        }
    }
}

/// `<service>-xxxxx`, as Kubernetes names slices, but by hash and not at random.
fn name(service: &ObjectKey, shape: &Shape, chunk: usize, attempt: u32) -> ObjectKey {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut hash = XxHash3_64::oneshot(format!("{shape:?}/{chunk}/{attempt}").as_bytes());
    let mut suffix = String::with_capacity(5);
    for _ in 0..5 {
        let index = usize::try_from(hash % 27).unwrap_or(0);
        suffix.push(LETTERS.get(index).copied().map_or('b', char::from));
        hash /= 27;
    }
    ObjectKey::new(&service.namespace, format!("{}-{suffix}", service.name))
}
