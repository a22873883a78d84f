//! HTTPS: the right certificate by server name, HTTP/2 by ALPN, and a certificate that changes while it is served.

use anyhow::ensure;
use http::Version;

use super::{
    super::{client, folder::SECURE_HOSTS, status::eventually},
    Checks,
    world::World,
};

pub(super) async fn check(checks: &mut Checks) -> anyhow::Result<()> {
    checks
        .check(
            "HTTPS serves each host with its own certificate, chosen by server name",
            async |world| {
                // The client checks chain and name; an answer proves both.
                for ((_, _, host), pod) in SECURE_HOSTS.into_iter().zip(["front-", "blog-"]) {
                    let (answer, _) = https(world, host, &["http/1.1"]).await?;
                    ensure!(
                        answer.pod()?.starts_with(pod),
                        "{host} was answered by {}",
                        answer.pod()?
                    );
                }
                Ok(())
            },
        )
        .await?;
    checks
        .check("HTTP/2 is served over TLS by ALPN", async |world| {
            let (answer, _) = https(world, "secure.demo.test", &["h2", "http/1.1"]).await?;
            ensure!(
                answer.version == Version::HTTP_2,
                "served over {:?}",
                answer.version
            );
            ensure!(
                answer.pod()?.starts_with("front-"),
                "{} answered",
                answer.pod()?
            );
            Ok(())
        })
        .await?;
    checks
        .check(
            "a rotated certificate is served without a restart, and the other host keeps its own",
            rotation,
        )
        .await
}

async fn rotation(world: &mut World) -> anyhow::Result<()> {
    let [(namespace, secret, host), (_, _, other)] = SECURE_HOSTS;
    let (_, before) = https(world, host, &[]).await?;
    let (_, others) = https(world, other, &[]).await?;
    let (manifest, renewed) = world.authority.secret(namespace, secret, host)?;
    ensure!(renewed != before, "the new certificate is the old one");
    world.folder.write(&format!("{secret}.yaml"), &manifest)?;
    eventually(async || {
        let (_, now) = https(world, host, &[]).await?;
        ensure!(now != before, "the old certificate is still served");
        ensure!(now == renewed, "an unknown certificate is served");
        Ok(())
    })
    .await?;
    let (_, now) = https(world, other, &[]).await?;
    ensure!(now == others, "the certificate of {other} changed too");
    Ok(())
}

async fn https(
    world: &World,
    host: &str,
    alpn: &[&str],
) -> anyhow::Result<(client::Answer, rustls_pki_types::CertificateDer<'static>)> {
    client::get_tls(world.https(), host, &world.authority.der(), alpn).await
}
