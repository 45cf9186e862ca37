//! The verifier: from an [`UnverifiedToken`] to a [`VerifiedToken`], cheap checks first.
//!
//! Before the signature is checked only the token itself and the clock are consulted; what could tell a stranger how
//! an issuer is configured (audiences, caps, required claims) is judged after it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::checks::{self, LEEWAY, Times};
use super::fetch::{Fetcher, Timeouts};
use super::jws::Jws;
use super::keyset::{KeyCache, Unavailable};
use super::refusal::{TokenRefusal, VerifyError};
use super::settings::{IssuerSettings, ReplayMode};
use super::token::{ReplayKey, Told, UnverifiedToken, VerifiedToken};
use crate::claims::{Claim, Claims, Profile};
use crate::clock::{Clock, Moment};
use crate::entropy::Entropy;
use crate::ids::{IssuerName, Subject};
use crate::network::SystemRoots;
use crate::secret::Fingerprint;

/// How often [`Federation::keep_fresh`] looks whether a set's time has come.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Every trusted issuer.
pub struct Federation {
    issuers: Vec<Issuer>,
    /// By `iss`, byte by byte.
    by_url: HashMap<String, usize>,
}

struct Issuer {
    settings: IssuerSettings,
    keys: Arc<KeyCache>,
}

/// What every issuer's key set needs from outside.
struct Ports {
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    roots: SystemRoots,
}

/// How fresh an issuer's keys are, for `/readyz` and metrics.
#[derive(Clone, Debug)]
pub struct IssuerHealth {
    /// What the configuration calls it.
    pub issuer: IssuerName,
    /// How many usable keys are known.
    pub keys: usize,
    /// When they were fetched.
    pub fetched_at: Option<Moment>,
    /// Whether they are young enough to be believed: tokens of this issuer can be verified now.
    pub usable: bool,
    /// The kind of the last failure, when the last fetch failed.
    pub last_error: Option<&'static str>,
    /// How many fetches were started.
    pub fetches: u64,
}

/// An issuer that cannot be trusted as configured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FederationError {
    /// One issuer's fault, in words for the operator.
    #[error("issuer `{issuer}`: {reason}")]
    Issuer {
        /// Which.
        issuer: IssuerName,
        /// What, and what to do.
        reason: String,
    },
}

impl std::fmt::Debug for Federation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.issuers.iter().map(|issuer| &issuer.settings.name)).finish()
    }
}

impl Federation {
    /// Builds clients and reads `jwks_file`s. Fetches nothing yet.
    pub fn new(
        issuers: Vec<IssuerSettings>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, FederationError> {
        let mut federation = Self { issuers: Vec::with_capacity(issuers.len()), by_url: HashMap::new() };
        let ports = Ports { clock, entropy, roots: SystemRoots::default() };
        for settings in issuers {
            let name = settings.name.clone();
            federation
                .add(settings, &ports)
                .map_err(|reason| FederationError::Issuer { issuer: name, reason })?;
        }
        Ok(federation)
    }

    /// Refreshes key sets in the background until dropped.
    pub async fn keep_fresh(&self) {
        loop {
            self.refresh_due().await;
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// One round of [`keep_fresh`](Self::keep_fresh): fetches every set whose time has come, all at once.
    pub async fn refresh_due(&self) {
        futures_util::future::join_all(self.issuers.iter().map(|issuer| issuer.keys.refresh_if_due())).await;
    }

    /// Verifies a token as of `at`.
    pub async fn verify(&self, token: &UnverifiedToken, at: Moment) -> Result<VerifiedToken, VerifyError> {
        let jws = Jws::parse(token.expose())?;
        let issuer = self.issuer_of(&jws.claims)?;
        let settings = &issuer.settings;
        if !settings.algorithms.contains(&jws.algorithm) {
            return Err(TokenRefusal::AlgorithmNotAllowed.into());
        }
        let times = Times::read(&jws.claims, at)?;
        issuer
            .keys
            .check(jws.algorithm, jws.kid.as_ref(), jws.signing_input, &jws.signature)
            .await
            .map_err(|Unavailable| VerifyError::KeysUnavailable(settings.name.clone()))??;
        checks::audience(&jws.claims, &settings.audiences)?;
        checks::requirements(&jws.claims, settings)?;
        Ok(VerifiedToken {
            issuer: settings.name.clone(),
            profile: settings.profile,
            subject: subject(&jws.claims)?,
            issued_at: times.issued_at(settings, at)?,
            expires_at: times.expires_at(),
            fingerprint: token.fingerprint(),
            replay: replay(settings, &jws, times),
            claims: jws.claims,
        })
    }

    /// What a token says, by the profile of the issuer that it names. Neither its signature nor its times are checked: for
    /// whoever looks at a token at their own desk, never for a door.
    ///
    /// # Errors
    /// It is no token, or names no registered issuer.
    pub fn read_unverified(&self, token: &UnverifiedToken, at: Moment) -> Result<Told, TokenRefusal> {
        let jws = Jws::parse(token.expose())?;
        let settings = &self.issuer_of(&jws.claims)?.settings;
        let issued_at = match jws.claims.get("iat") {
            Some(Claim::Integer(seconds)) => Moment::from_unix_seconds(*seconds),
            _ => at,
        };
        let (issuer, profile) = (settings.name.clone(), settings.profile);
        Ok(Told { issuer, profile, subject: subject(&jws.claims)?, claims: jws.claims, issued_at })
    }

    /// How fresh every issuer's keys are.
    pub fn health(&self) -> Vec<IssuerHealth> {
        self.issuers.iter().map(Issuer::health).collect()
    }

    /// The settings of the issuer that the configuration calls `name`.
    pub fn issuer(&self, name: &IssuerName) -> Option<&IssuerSettings> {
        self.settings().find(|settings| settings.name == *name)
    }

    /// The settings of every issuer.
    pub fn settings(&self) -> impl Iterator<Item = &IssuerSettings> {
        self.issuers.iter().map(|issuer| &issuer.settings)
    }

    fn add(&mut self, settings: IssuerSettings, ports: &Ports) -> Result<(), String> {
        if let Some(fault) = settings.fault() {
            return Err(fault);
        }
        if self.settings().any(|other| other.name == settings.name) {
            return Err("another issuer has the same name".to_owned());
        }
        if self.by_url.insert(settings.url.as_str().to_owned(), self.issuers.len()).is_some() {
            return Err(format!(
                "another issuer has the same `url` `{}`: whose rules would hold?",
                settings.url
            ));
        }
        let fetcher = Fetcher::new(&settings, &ports.roots, Timeouts::default())?;
        let keys = KeyCache::new(
            settings.name.clone(),
            fetcher,
            Arc::clone(&ports.clock),
            Arc::clone(&ports.entropy),
        )
        .map_err(|fault| fault.to_string())?;
        self.issuers.push(Issuer { settings, keys: Arc::new(keys) });
        Ok(())
    }

    /// Who says to have made the token: the registered issuer whose `url` is `iss`, byte by byte. Nothing is fetched,
    /// and nothing else of the token read, for anybody else.
    ///
    /// A JWT-SVID need not carry `iss`, and SPIFFE gives it no meaning (JWT-SVID §3): where it names nobody we know, the
    /// trust domain in `sub` does. Either way only the keys registered for that name can make the token count.
    fn issuer_of(&self, claims: &Claims) -> Result<&Issuer, TokenRefusal> {
        let iss = match claims.get("iss") {
            Some(Claim::Text(iss)) => Some(iss.as_str()),
            None => None,
            Some(_) => return Err(TokenRefusal::IssuerMissing),
        };
        iss.and_then(|iss| self.registered(iss))
            .or_else(|| self.trust_domain_of(claims))
            .ok_or(if iss.is_some() { TokenRefusal::UnknownIssuer } else { TokenRefusal::IssuerMissing })
    }

    fn registered(&self, url: &str) -> Option<&Issuer> {
        self.issuers.get(*self.by_url.get(url)?)
    }

    fn trust_domain_of(&self, claims: &Claims) -> Option<&Issuer> {
        let sub = claims.text("sub")?;
        let id = sub.strip_prefix("spiffe://")?;
        let domain = id.split_once('/').map_or(id, |(domain, _)| domain);
        self.registered(&format!("spiffe://{domain}"))
            .filter(|issuer| issuer.settings.profile == Profile::Spiffe)
    }
}

impl Issuer {
    fn health(&self) -> IssuerHealth {
        let health = self.keys.health();
        IssuerHealth {
            issuer: self.settings.name.clone(),
            keys: health.keys,
            fetched_at: health.fetched_at,
            usable: health.fresh,
            last_error: health.last_error,
            fetches: health.fetches,
        }
    }
}

fn subject(claims: &Claims) -> Result<Subject, TokenRefusal> {
    match claims.get("sub") {
        None | Some(Claim::Null) => Err(TokenRefusal::SubjectMissing),
        Some(Claim::Text(sub)) => Subject::new(sub).map_err(|_| TokenRefusal::SubjectInvalid),
        Some(_) => Err(TokenRefusal::SubjectInvalid),
    }
}

/// The issuer is named by its `url`, not by the name that an operator may change while claims are kept. The first
/// field keeps a `jti` from colliding with a signing input.
fn replay(settings: &IssuerSettings, jws: &Jws<'_>, times: Times) -> Option<ReplayKey> {
    if settings.replay == ReplayMode::Reusable {
        return None;
    }
    let issuer = settings.url.as_str().as_bytes();
    let key = match jws.claims.text("jti") {
        Some(jti) if !jti.is_empty() => Fingerprint::of_fields(&[b"jti", issuer, jti.as_bytes()]),
        _ => Fingerprint::of_fields(&[b"signing input", issuer, jws.signing_input]),
    };
    Some(ReplayKey { key, until: times.expires_at().plus(LEEWAY) })
}
