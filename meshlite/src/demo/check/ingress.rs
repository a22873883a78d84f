//! Ingresses: hosts, paths, namespaces, HTTP/2, WebSocket, and what is answered where there is no backend.

use anyhow::ensure;
use http::{StatusCode, Version};

use super::{
    super::client,
    Checks,
    world::{World, all_of},
};

pub(super) async fn check(checks: &mut Checks) -> anyhow::Result<()> {
    checks
        .check(
            "an Ingress routes by host, across two namespaces",
            async |world| {
                all_of(&world.routed("shop.demo.test", "/").await?, "front-", 2)?;
                all_of(&world.routed("blog.demo.test", "/").await?, "blog-", 2)
            },
        )
        .await?;
    checks
        .check(
            "the longest path wins, by whole elements, and an exact one before a prefix",
            async |world| {
                for (path, prefix) in [
                    ("/", "front-"),
                    ("/cart", "cart-"),
                    ("/cart/", "cart-"),
                    ("/cart/items?page=2", "cart-"),
                    ("/cart/help", "front-"),
                    ("/cart/help/me", "cart-"),
                    ("/cartoon", "front-"),
                ] {
                    all_of(&world.routed("shop.demo.test", path).await?, prefix, 2)
                        .map_err(|error| error.context(path))?;
                }
                Ok(())
            },
        )
        .await?;
    checks
        .check(
            "a wildcard host serves one label, and no more",
            async |world| {
                all_of(
                    &world.routed("alice.blog.demo.test", "/").await?,
                    "blog-",
                    2,
                )?;
                status(world, "a.b.blog.demo.test", "/", StatusCode::NOT_FOUND).await
            },
        )
        .await?;
    checks
        .check("a legacy v1beta1 Ingress is served", async |world| {
            all_of(&world.routed("legacy.demo.test", "/any").await?, "blog-", 2)
        })
        .await?;
    protocols(checks).await?;
    no_backend(checks).await
}

async fn protocols(checks: &mut Checks) -> anyhow::Result<()> {
    checks
        .check("HTTP/2 by prior knowledge is served", async |world| {
            let answer = client::get_h2c(world.http(), "shop.demo.test", "/").await?;
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
        .check("a WebSocket through the ingress echoes", async |world| {
            let answer = client::websocket(world.http(), "shop.demo.test", "hello").await?;
            let is_echo = answer.starts_with("front-") && answer.ends_with(": hello");
            ensure!(is_echo, "{answer:?} came back");
            Ok(())
        })
        .await?;
    checks
        .check(
            "the backend learns host, scheme and client from X-Forwarded-*",
            async |world| {
                let answer = client::get(world.http(), "shop.demo.test", "/?verbose").await?;
                for line in [
                    "host: shop.demo.test",
                    "x-forwarded-host: shop.demo.test",
                    "x-forwarded-proto: http",
                    "x-forwarded-for: 127.0.0.1",
                ] {
                    let has = answer
                        .body
                        .lines()
                        .any(|header| header.eq_ignore_ascii_case(line));
                    ensure!(has, "no `{line}` in:\n{}", answer.body);
                }
                Ok(())
            },
        )
        .await
}

async fn no_backend(checks: &mut Checks) -> anyhow::Result<()> {
    checks
        .check(
            "a host that nobody serves is answered with 404",
            async |world| status(world, "nobody.demo.test", "/", StatusCode::NOT_FOUND).await,
        )
        .await?;
    checks
        .check(
            "a Service without endpoints is answered with 503",
            async |world| {
                status(
                    world,
                    "shop.demo.test",
                    "/closed",
                    StatusCode::SERVICE_UNAVAILABLE,
                )
                .await
            },
        )
        .await
}

async fn status(world: &World, host: &str, path: &str, wanted: StatusCode) -> anyhow::Result<()> {
    let answer = client::get(world.http(), host, path).await?;
    ensure!(
        answer.status == wanted,
        "{host}{path} was answered with {}",
        answer.status
    );
    Ok(())
}
