//! From the request that a solver imagined to the facts that a broker would have seen: ids made of issuer and subject, one
//! address instead of a network, whole seconds. What comes out is decided again before anybody is shown it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use cedar_policy::{Entity, EntityUid};
use cedar_policy_symcc::Env;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::formula::Doubt;
use super::shape::Shape;
use super::words::{address, duration, moment};
use super::worlds::approver_in;
use crate::clock::Moment;
use crate::ids::ElevationId;
use crate::policy::facts::{
    ApprovalFacts, Asked, AuthFacts, ElevationSeen, ElevationWindow, GrantFacts, PrincipalFacts,
    PrincipalKind,
};
use crate::policy::{Action, Facts, World};

/// An id that policy does not see.
const SOME_ELEVATION: &str = "elv-01a203ff-4cee-7102-8304-05060708090a";

/// One imagined request.
struct Imagined<'a> {
    env: &'a Env,
    world: &'a World,
    shape: Shape,
    context: Value,
}

/// The facts. They may still be strange: whoever calls this finds out.
pub(super) fn realize(env: &Env, world: &World, shape: Shape) -> Result<Facts, Doubt> {
    let context = env.request.context().ok_or_else(|| doubt("the example has no context"))?;
    let context = context.to_json_value().map_err(Doubt::of)?;
    let imagined = Imagined { env, world, shape, context };
    let resource = env.request.resource().ok_or_else(|| doubt("the example has no resource"))?;
    let principal = env.request.principal().ok_or_else(|| doubt("the example has no principal"))?;
    let elevation = shape.action.is_about_elevation().then(|| imagined.elevation(resource)).transpose()?;
    let (grant, elevation) = match elevation {
        Some((grant, elevation)) => (grant, Some(elevation)),
        None => (imagined.grant(resource.id().unescaped())?, None),
    };
    Ok(Facts {
        at: moment(at(&imagined.context, "now")?)?,
        principal: imagined.caller(principal, shape.principal)?,
        grant,
        source_ip: imagined.source_ip()?,
        auth: imagined.auth()?,
        asked: imagined.asked(elevation)?,
    })
}

fn doubt(text: &str) -> Doubt {
    Doubt(text.to_owned())
}

fn at<'v>(value: &'v Value, name: &str) -> Result<&'v Value, Doubt> {
    value.get(name).ok_or_else(|| Doubt(format!("the example has no `{name}`")))
}

fn read<T: DeserializeOwned>(value: &Value) -> Result<T, Doubt> {
    serde_json::from_value(value.clone()).map_err(|error| Doubt(format!("the example is of no use: {error}")))
}

fn maybe<T: DeserializeOwned>(value: &Value, name: &str) -> Result<Option<T>, Doubt> {
    value.get(name).map(read).transpose()
}

/// The id of an entity inside a value.
fn entity_id(value: &Value) -> Result<String, Doubt> {
    let id = value.get("__entity").and_then(|entity| entity.get("id")).and_then(Value::as_str);
    id.map(str::to_owned).ok_or_else(|| doubt("the example names no entity where one belongs"))
}

/// The entity of that type that a value names.
fn named(value: &Value, kind: &str) -> Result<EntityUid, Doubt> {
    let id = entity_id(value)?;
    let kind = format!("Tidegate::{kind}").parse().map_err(Doubt::of)?;
    Ok(EntityUid::from_type_name_and_id(kind, cedar_policy::EntityId::new(id)))
}

impl Imagined<'_> {
    fn entity(&self, uid: &EntityUid) -> Result<(&Entity, Value), Doubt> {
        let entity = self.env.entities.get(uid).ok_or_else(|| Doubt(format!("the example lacks {uid}")))?;
        Ok((entity, entity.to_json_value().map_err(Doubt::of)?))
    }

    fn grant(&self, name: &str) -> Result<GrantFacts, Doubt> {
        let grant = self.world.grant(name);
        grant
            .map(|grant| GrantFacts::of(grant))
            .ok_or_else(|| doubt("the example is about no configured grant"))
    }

    fn caller(&self, uid: &EntityUid, kind: PrincipalKind) -> Result<PrincipalFacts, Doubt> {
        let (_, json) = self.entity(uid)?;
        let attributes = at(&json, "attrs")?;
        let issuer = entity_id(at(attributes, "issuer")?)?;
        let parents = json.get("parents").and_then(Value::as_array).into_iter().flatten();
        let groups = parents.filter_map(|parent| parent.get("id")?.as_str()?.split_once('/'));
        let groups = groups.filter(|(of, _)| *of == issuer).map(|(_, group)| group.to_owned()).collect();
        Ok(PrincipalFacts {
            kind,
            groups,
            issuer: issuer.parse().map_err(Doubt::of)?,
            subject: read(at(attributes, "subject")?)?,
            kubernetes: maybe(attributes, "kubernetes")?,
            github: maybe(attributes, "github")?,
            gitlab: maybe(attributes, "gitlab")?,
            spiffe: maybe(attributes, "spiffe")?,
            aws: maybe(attributes, "aws")?,
            email: maybe(attributes, "email")?,
            name: maybe(attributes, "name")?,
            tags: maybe(&json, "tags")?.unwrap_or_default(),
        })
    }

    fn elevation(&self, uid: &EntityUid) -> Result<(GrantFacts, ElevationSeen), Doubt> {
        let (_, json) = self.entity(uid)?;
        let attributes = at(&json, "attrs")?;
        let grant = self.grant(&entity_id(at(attributes, "grant")?)?)?;
        let requester = named(at(attributes, "requester")?, "Person")?;
        let seen = ElevationSeen {
            id: SOME_ELEVATION.to_owned(),
            requester: self.caller(&requester, PrincipalKind::Person)?,
            duration: duration(at(attributes, "duration")?)?,
            reason: read(at(attributes, "reason")?)?,
            ticket: maybe(attributes, "ticket")?,
        };
        Ok((grant, seen))
    }

    fn source_ip(&self) -> Result<Option<IpAddr>, Doubt> {
        self.context.get("source_ip").map(address).transpose()
    }

    fn auth(&self) -> Result<AuthFacts, Doubt> {
        let auth = at(&self.context, "auth")?;
        Ok(AuthFacts {
            issued_at: moment(at(auth, "issued_at")?)?,
            acr: maybe(auth, "acr")?,
            amr: maybe(auth, "amr")?.unwrap_or_default(),
            auth_time: auth.get("auth_time").map(moment).transpose()?,
        })
    }

    fn span(&self) -> Result<Duration, Doubt> {
        duration(at(&self.context, "duration")?)
    }

    fn asked(&self, elevation: Option<ElevationSeen>) -> Result<Asked, Doubt> {
        let about = || elevation.map(Box::new).ok_or_else(|| doubt("the example has no elevation"));
        Ok(match self.shape.action {
            Action::Issue => self.issue()?,
            Action::Request => Asked::Request { duration: self.span()? },
            Action::Approve => Asked::Approve { elevation: about()?, duration: self.span()? },
            Action::Activate => Asked::Activate { duration: self.span()?, approvals: self.approvals()? },
            Action::Revoke => Asked::Revoke { elevation: about()? },
            Action::View => Asked::View { elevation: about()? },
            Action::Lock => Asked::Lock,
            Action::Audit => Asked::Audit,
            Action::Explain => Asked::Explain,
        })
    }

    fn issue(&self) -> Result<Asked, Doubt> {
        let actor = self.context.get("actor").map(|actor| {
            let uid = named(actor, "Workload")?;
            self.caller(&uid, PrincipalKind::Workload).map(Box::new)
        });
        Ok(Asked::Issue {
            ttl: duration(at(&self.context, "ttl")?)?,
            scopes: maybe(&self.context, "scopes")?.unwrap_or_default(),
            client_cert: maybe(&self.context, "client_cert")?,
            actor: actor.transpose()?,
            elevation: self.context.get("elevation").map(window).transpose()?,
        })
    }

    fn approvals(&self) -> Result<ApprovalFacts, Doubt> {
        let approvals = at(&self.context, "approvals")?;
        let groups = at(approvals, "groups")?.as_array().into_iter().flatten();
        let groups: BTreeSet<String> = groups.map(entity_id).collect::<Result<_, _>>()?;
        let known = |group: &String| {
            group.split_once('/').is_some_and(|(issuer, _)| self.world.issuer(issuer).is_some())
        };
        let people = groups.iter().filter_map(|group| approver_in(group)).map(str::to_owned).collect();
        Ok(ApprovalFacts {
            count: read(at(approvals, "count")?)?,
            groups: groups.into_iter().filter(known).collect(),
            people,
        })
    }
}

fn window(value: &Value) -> Result<ElevationWindow, Doubt> {
    let date = |name: &str| -> Result<Moment, Doubt> { moment(at(value, name)?) };
    Ok(ElevationWindow {
        id: SOME_ELEVATION.parse::<ElevationId>().map_err(Doubt::of)?,
        version: 1,
        approvals: read(at(value, "approvals")?)?,
        starts_at: date("starts_at")?,
        ends_at: date("ends_at")?,
    })
}
