//! Where the API server is, from what is configured.

use super::*;

fn config(url: &'static str) -> Config {
    Config::new(Uri::from_static(url))
}

fn redirected(from: &'static str, to: &str) -> Result<Config, String> {
    let mut config = config(from);
    redirect(&mut config, to).map_err(|error| error.to_string())?;
    Ok(config)
}

#[test]
fn another_address_is_verified_for_the_name_that_the_kubeconfig_has() {
    let config = redirected("https://api.example:6443", "https://192.0.2.1:6443").unwrap();
    assert_eq!(config.cluster_url, "https://192.0.2.1:6443/");
    assert_eq!(config.tls_server_name.as_deref(), Some("api.example"));

    let config = redirected("https://[fd00::1]:6443", "https://192.0.2.1:6443").unwrap();
    assert_eq!(config.tls_server_name.as_deref(), Some("fd00::1"));
}

#[test]
fn a_server_name_that_is_set_stays() {
    let mut config = config("https://192.0.2.9:6443");
    config.tls_server_name = Some("kubernetes.default.svc".into());
    redirect(&mut config, "https://192.0.2.1:6443").unwrap();
    assert_eq!(
        config.tls_server_name.as_deref(),
        Some("kubernetes.default.svc")
    );
}

#[test]
fn credentials_are_not_sent_in_plaintext_to_another_address() {
    let error = redirected("https://api.example:6443", "http://192.0.2.1:8080").unwrap_err();
    assert!(error.contains("must be https://"), "{error}");
}

#[test]
fn an_address_without_a_host_says_what_to_write() {
    for url in ["", "https://", "/api", "https:///x"] {
        let error = redirected("https://api.example:6443", url).unwrap_err();
        assert!(
            error.contains("write https://ADDRESS:PORT"),
            "{url:?}: {error}"
        );
    }
}

#[tokio::test]
async fn a_kubeconfig_that_is_not_there_is_named() {
    let connection = Connection {
        kubeconfig: Some("/nonexistent/kubeconfig".into()),
        api_server: None,
    };
    let error = connection.client().await.err().unwrap().to_string();
    assert!(
        error.starts_with("--kubeconfig /nonexistent/kubeconfig: "),
        "{error}"
    );
}
