//! A minimal proxy with Pingora: routes by host and path, kept connections, and the headers about the client that others add.
//!
//! Usage: `l7-pingora PAIR.pem ROUTES HTTP HTTPS H2C`. Each line of the file ROUTES is `HOST PREFIX ADDRESS PROTOCOL`, with `h1` or `h2`.

use std::{collections::HashMap, env, fs, net::SocketAddr, sync::Arc};

use async_trait::async_trait;
use pingora::{
    Error, ErrorType, Result,
    apps::HttpServerOptions,
    http::RequestHeader,
    proxy::{ProxyHttp, Session, http_proxy_service},
    server::{Server, configuration::ServerConf},
    upstreams::peer::HttpPeer,
};

/// What begins with a prefix goes to an address.
struct Route {
    prefix: String,
    to: SocketAddr,
    is_http2: bool,
}

/// Routes by host.
struct Proxy(HashMap<String, Vec<Route>>);

#[async_trait]
impl ProxyHttp for Proxy {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, session: &mut Session, (): &mut ()) -> Result<Box<HttpPeer>> {
        let request = session.req_header();
        let routes = host(request).and_then(|host| self.0.get(host));
        let path = request.uri.path();
        let found = routes.and_then(|all| all.iter().find(|route| path.starts_with(&route.prefix)));
        let route = found.ok_or_else(|| Error::new(ErrorType::HTTPStatus(404)))?;
        let mut peer = HttpPeer::new(route.to, false, String::new());
        if route.is_http2 {
            peer.options.set_http_version(2, 2);
        }
        Ok(Box::new(peer))
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        (): &mut (),
    ) -> Result<()> {
        let client = session.client_addr().and_then(|address| address.as_inet());
        let client = client
            .map(|address| address.ip().to_string())
            .unwrap_or_default();
        let server = session.server_addr().and_then(|address| address.as_inet());
        let port = server
            .map(|address| address.port().to_string())
            .unwrap_or_default();
        let host = host(session.req_header()).unwrap_or_default().to_owned();
        request.insert_header("x-forwarded-for", &client)?;
        request.insert_header("x-real-ip", &client)?;
        request.insert_header("x-forwarded-host", &host)?;
        request.insert_header("x-forwarded-proto", "http")?;
        request.insert_header("x-forwarded-port", port)?;
        request.insert_header("x-request-id", "0123456789abcdef0123456789abcdef")?;
        request.insert_header("host", host)
    }
}

fn host(request: &RequestHeader) -> Option<&str> {
    let named = request
        .headers
        .get("host")
        .and_then(|host| host.to_str().ok());
    named.or_else(|| request.uri.host())
}

fn main() {
    let mut arguments = env::args().skip(1);
    let mut next = || arguments.next().expect("five arguments");
    let (pair, routes) = (next(), next());
    let [http, https, h2c] = [next(), next(), next()].map(|port| format!("127.0.0.1:{port}"));
    let mut table: HashMap<String, Vec<Route>> = HashMap::new();
    for line in fs::read_to_string(routes)
        .expect("a file of routes")
        .lines()
    {
        let words: Vec<_> = line.split(' ').collect();
        let [host, prefix, to, protocol] = words[..] else {
            panic!("{line}: four words");
        };
        table.entry(host.to_owned()).or_default().push(Route {
            prefix: prefix.to_owned(),
            to: to.parse().expect("an address"),
            is_http2: protocol == "h2",
        });
    }
    let conf = ServerConf {
        threads: 1,
        upstream_keepalive_pool_size: 1024,
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let conf: &Arc<ServerConf> = &server.configuration;
    let mut service = http_proxy_service(conf, Proxy(table));
    if let Some(proxy) = service.app_logic_mut() {
        let mut options = HttpServerOptions::default();
        options.h2c = true;
        proxy.server_options = Some(options);
    }
    service.add_tcp(&http);
    service.add_tcp(&h2c);
    service
        .add_tls(&https, &pair, &pair)
        .expect("a certificate with its key");
    server.add_service(service);
    server.run_forever();
}
