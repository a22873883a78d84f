//! Envoy, with a listener for each way in.

use std::{fs, path::Path};

use anyhow::Context as _;
use meshlite_tests::process::free_port;
use serde_json::{Value, json};

use super::Setting;
use crate::{
    clients::Sessions,
    objects::{Host, Origin, Origins},
    stage::{PROXY_CORE, Ports, Proxy, pinned},
};

pub(super) fn start(program: &Path, setting: Setting<'_>) -> anyhow::Result<Proxy> {
    let (ports, admin) = (setting.ports, free_port()?);
    let logged = ports.logged.context("no port for its log")?;
    let plain = |name, port, hosts| listener(name, port, hosts, &json!([]));
    let log = json!([{
        "name": "log",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": "/dev/null",
        },
    }]);
    let mut https = plain("https", ports.https, setting.first());
    let chain = https.pointer_mut("/filter_chains/0").context("no chain")?;
    *chain = with(chain, "transport_socket", tls(&setting.pair()));
    let config = json!({
        "admin": {"address": address("127.0.0.1", admin)},
        "static_resources": {
            "listeners": [
                plain("http", ports.http, setting.hosts),
                plain("h2c", ports.h2c, setting.first()),
                https,
                listener("logged", logged, setting.first(), &log),
            ],
            "clusters": Origin::ALL.map(|origin| cluster(origin, setting.origins)),
        },
    });
    let file = setting.folder.join("envoy.json");
    fs::write(&file, config.to_string())?;
    let file = file.display().to_string();
    let options = ["--concurrency", "1", "--disable-hot-restart", "-l", "warn"];
    let arguments = options.into_iter().chain(["-c", file.as_str()]);
    let log = setting.folder.join("envoy.log");
    Ok(Proxy {
        name: "envoy",
        process: pinned(PROXY_CORE, program, arguments, &log)?,
        ports: Ports {
            metrics: Some((admin, "/stats/prometheus")),
            ..ports
        },
        sessions: Sessions::new()?,
    })
}

fn with(object: &Value, key: &str, value: Value) -> Value {
    let mut object = object.as_object().cloned().unwrap_or_default();
    object.insert(key.to_owned(), value);
    object.into()
}

fn address(at: &str, port: u16) -> Value {
    json!({"socket_address": {"address": at, "port_value": port}})
}

fn listener(name: &str, port: u16, hosts: &[Host], access_log: &Value) -> Value {
    let header = |key: &str, value: &str| json!({"header": {"key": key, "value": value}});
    let hosts: Vec<_> = hosts
        .iter()
        .map(|host| {
            let routes = host.routes.iter().map(|(prefix, origin)| {
                json!({
                    "match": {"prefix": prefix},
                    "route": {"cluster": origin.name(), "timeout": "60s"},
                })
            });
            json!({
                "name": host.name,
                "domains": [host.name],
                "request_headers_to_add": [
                    header("x-real-ip", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"),
                    header("x-forwarded-host", "%REQ(:AUTHORITY)%"),
                    header("x-forwarded-port", &port.to_string()),
                ],
                "routes": routes.collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({
        "name": name,
        "address": address("127.0.0.1", port),
        "filter_chains": [{"filters": [{
            "name": "http",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                "stat_prefix": name,
                "use_remote_address": true,
                "access_log": access_log,
                "upgrade_configs": [{"upgrade_type": "websocket"}],
                "route_config": {"virtual_hosts": hosts},
                "http_filters": [{
                    "name": "envoy.filters.http.router",
                    "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
                }],
            },
        }]}],
    })
}

fn tls(pair: &str) -> Value {
    json!({
        "name": "tls",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": {
                "tls_certificates": [{"certificate_chain": {"filename": pair}, "private_key": {"filename": pair}}],
            },
        },
    })
}

fn cluster(origin: Origin, origins: Origins) -> Value {
    let at = origins.of(origin);
    let endpoint = json!({"endpoint": {"address": address(&at.ip().to_string(), at.port())}});
    let all = json!({
        "name": origin.name(),
        "lb_policy": "LEAST_REQUEST",
        "circuit_breakers": {
            "thresholds": [{"max_connections": 8192, "max_pending_requests": 8192, "max_requests": 8192}],
        },
        "load_assignment": {"cluster_name": origin.name(), "endpoints": [{"lb_endpoints": [endpoint]}]},
    });
    if origin != Origin::Grpc {
        return all;
    }
    let options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    let http2 = json!({
        "@type": format!("type.googleapis.com/{options}"),
        "explicit_http_config": {"http2_protocol_options": {}},
    });
    with(
        &all,
        "typed_extension_protocol_options",
        json!({options: http2}),
    )
}
