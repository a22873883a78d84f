//! Bearer tokens: verified with keys that the API server published, and revoked by it while it answers.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwapOption;
use meshlite_kubernetes::{Client, TokenIssuer, TokenVerdict, causes, review_token, token_issuer};
use tokio::{
    sync,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    Caller,
    refusal::Refusal,
    token::Keys,
    verified::{Known, TokenHash, Verified},
};
use crate::{TokenConfig, clock};

/// How often the keys are read again.
const REFRESH: Duration = Duration::from_mins(10);
/// How often at most because a token is signed by an unknown key.
const REFRESH_FOR_UNKNOWN: Duration = Duration::from_secs(10);
/// How often at most while there are none.
const REFRESH_FIRST: Duration = Duration::from_secs(1);
/// How long the API server may take.
const ANSWER: Duration = Duration::from_secs(2);
/// How long it is not asked about tokens after it did not answer: nobody should wait for it again and again.
const SILENCE: Duration = Duration::from_secs(10);
/// How many tokens the API server is asked about at the same time.
const REVIEWS: usize = 64;

/// Verifies the tokens of service accounts. With the API server gone, the keys that it published stay.
pub(crate) struct Tokens {
    config: TokenConfig,
    client: Client,
    keys: ArcSwapOption<Keys>,
    refresh: sync::Mutex<Refresh>,
    verified: Mutex<Verified>,
    /// A turn for each question: a token that comes twice at once is asked about once.
    reviews: [sync::Mutex<()>; REVIEWS],
    silent_until: Mutex<Option<Instant>>,
}

#[derive(Default)]
struct Refresh {
    tried: Option<Instant>,
    published: Option<TokenIssuer>,
}

impl Tokens {
    pub(crate) fn new(config: TokenConfig, client: Client) -> Self {
        Self {
            config,
            client,
            keys: ArcSwapOption::empty(),
            refresh: sync::Mutex::default(),
            verified: Mutex::default(),
            reviews: std::array::from_fn(|_| sync::Mutex::default()),
            silent_until: Mutex::default(),
        }
    }

    /// Keeps the keys fresh until `stop`.
    pub(crate) async fn keep_fresh(&self, stop: &CancellationToken) {
        loop {
            self.refresh(REFRESH_FIRST).await;
            let wait = if self.keys.load().is_some() {
                REFRESH
            } else {
                REFRESH_FIRST
            };
            tokio::select! {
                () = sleep(wait) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Whom a token is of, where that was found out a moment ago.
    pub(super) fn known(&self, token: &str) -> Option<Caller> {
        match self.look_up(TokenHash::of(token)) {
            Known::Good(caller) => Some(caller),
            Known::Unreviewed(_) | Known::Nothing => None,
        }
    }

    /// Whom a token is of.
    pub(super) async fn verify(&self, token: &str) -> Result<Caller, Refusal> {
        let hash = TokenHash::of(token);
        let caller = match self.look_up(hash) {
            Known::Good(caller) => return Ok(caller),
            Known::Unreviewed(caller) => caller,
            Known::Nothing => self.signature(token, clock::wall()).await?,
        };
        self.review(token, hash, caller).await
    }

    async fn signature(&self, token: &str, now: SystemTime) -> Result<Caller, Refusal> {
        let first = self.by_our_keys(token, now);
        let every = match first {
            Err(Refusal::NoKeys) => REFRESH_FIRST,
            Err(Refusal::UnknownKey(_)) => REFRESH_FOR_UNKNOWN,
            verdict => return verdict,
        };
        self.refresh(every).await;
        self.by_our_keys(token, now)
    }

    fn by_our_keys(&self, token: &str, now: SystemTime) -> Result<Caller, Refusal> {
        let keys = self.keys.load();
        let keys = keys.as_ref().ok_or(Refusal::NoKeys)?;
        keys.verify(token, &self.config, now)
    }

    /// Reads the keys, where that was not tried for so long.
    async fn refresh(&self, every: Duration) {
        let mut turn = self.refresh.lock().await;
        let now = Instant::now();
        if turn.tried.is_some_and(|tried| now < tried + every) {
            return;
        }
        turn.tried = Some(now);
        let published = match timeout(ANSWER, token_issuer(&self.client)).await {
            Ok(Ok(published)) => published,
            Ok(Err(error)) => {
                warn!(
                    error = causes(&error),
                    "the API server's keys could not be read; those that are known stay"
                );
                return;
            }
            Err(_elapsed) => {
                warn!("the API server does not answer; its keys that are known stay");
                return;
            }
        };
        if turn.published.as_ref() == Some(&published) {
            return;
        }
        match Keys::read(published.issuer.clone(), &published.jwks) {
            Ok(keys) => {
                info!(issuer = published.issuer, ids = ?keys.ids(), "keys of service-account tokens read");
                self.keys.store(Some(keys.into()));
                self.verified().clear();
                turn.published = Some(published);
            }
            Err(error) => {
                warn!(%error, "the API server's keys cannot be used; those that are known stay");
            }
        }
    }

    /// Asks the API server whether a token is revoked. Where it does not answer, the signature is enough.
    async fn review(
        &self,
        token: &str,
        hash: TokenHash,
        caller: Caller,
    ) -> Result<Caller, Refusal> {
        let Some(turn) = self.reviews.get(hash.shard(REVIEWS)) else {
            return Ok(caller);
        };
        let _turn = turn.lock().await;
        if let Known::Good(caller) = self.look_up(hash) {
            return Ok(caller);
        }
        let reviewed = match self.ask(token).await {
            Some(TokenVerdict::Refused) => {
                self.verified().forget(hash);
                return Err(Refusal::Revoked);
            }
            Some(TokenVerdict::Authenticated) => Some(Instant::now()),
            None => None,
        };
        self.verified().put(hash, caller.clone(), reviewed);
        Ok(caller)
    }

    async fn ask(&self, token: &str) -> Option<TokenVerdict> {
        let silent = *lock(&self.silent_until);
        if silent.is_some_and(|until| Instant::now() < until) {
            return None;
        }
        let asked = review_token(&self.client, token, &self.config.audience);
        let error = match timeout(ANSWER, asked).await {
            Ok(Ok(verdict)) => return Some(verdict),
            Ok(Err(error)) => causes(&error),
            Err(_elapsed) => format!("no answer in {} s", ANSWER.as_secs()),
        };
        let mut silent = lock(&self.silent_until);
        let now = Instant::now();
        // Of all that asked at the same time one says it.
        if silent.is_none_or(|until| now >= until) {
            warn!(
                error,
                "the API server does not say whether tokens are revoked; their signatures are enough"
            );
        }
        *silent = Some(now + SILENCE);
        None
    }

    fn look_up(&self, hash: TokenHash) -> Known {
        self.verified().get(hash, clock::wall(), Instant::now())
    }

    fn verified(&self) -> MutexGuard<'_, Verified> {
        lock(&self.verified)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens")
            .field("config", &self.config)
            .field("keys", &*self.keys.load())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
