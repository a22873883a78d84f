#![allow(warnings)]
use meshlite_manifests::{admit::*, parse_all};
use std::{fmt::Write as _, sync::Arc, time::Instant};
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
fn main() {
    let n = 10_000u32;
    let mut files = vec![];
    for f in 0..20 {
        let mut text = String::new();
        for i in (f * 500)..(f * 500 + 500) {
            write!(text, "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: svc-{i}\n  namespace: ns-{}\n  labels: {{app: a{i}}}\nspec:\n  type: {}\n  selector: {{app: a{i}}}\n  ports:\n  - {{name: http, port: 80, targetPort: 8080}}\n  - {{name: https, port: 443, targetPort: 8443}}\n", i%50, if i%10==0 {"NodePort"} else {"ClusterIP"}).unwrap();
            write!(text, "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\naddressType: IPv4\nmetadata:\n  name: svc-{i}-a\n  namespace: ns-{}\n  labels: {{kubernetes.io/service-name: svc-{i}}}\nports:\n- {{name: http, port: 8080}}\n- {{name: https, port: 8443}}\nendpoints:\n", i%50).unwrap();
            for e in 0..10 {
                writeln!(
                    text,
                    "- {{addresses: [10.{}.{}.{}], nodeName: n{e}}}",
                    i / 250,
                    i % 250,
                    e + 1
                )
                .unwrap();
            }
        }
        files.push((format!("f{f:02}.yaml"), text.into_bytes()));
    }
    let files: Vec<_> = parse_all(files).into_iter().map(Arc::new).collect();
    assert!(
        files.iter().all(|f| f.is_good()),
        "{:?}",
        files.iter().flat_map(|f| &f.findings).next()
    );
    let mut before = Allocations::default();
    for round in 0..12 {
        let t = Instant::now();
        let a = admit(&files, &before, &AdmitSettings::default(), &[]);
        let e = t.elapsed();
        println!(
            "round {round}: {e:?} services {} slices {} findings {:?}",
            a.inputs.services.len(),
            a.inputs.endpoint_slices.len(),
            a.findings.len()
        );
        before = a.allocations.clone();
        let t = Instant::now();
        drop(a);
        println!("   drop {:?}", t.elapsed());
    }
}
