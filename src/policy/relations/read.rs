//! Reads `entities.json`: Cedar's own JSON form for entities, of which only what can be told apart from a mistake is taken.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use cedar_policy::EntityUid;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{RELATIONS_FILE, Relations, Written, principal_id, token_group};
use crate::ids::GrantName;
use crate::policy::fault::{Fault, LoadError};
use crate::policy::schema::{Vocabulary, uid};

/// More would be a directory, which belongs into the tokens.
const MOST_BYTES: usize = 8 * 1024 * 1024;
const MOST_ENTITIES: usize = 50_000;
/// Of one person or group: each is looked at in every decision about them.
const MOST_ABOVE: usize = 250;
const MOST_ID_BYTES: usize = 256;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    uid: Name,
    attrs: Attributes,
    parents: Vec<Name>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Attributes {
    owner: Option<Name>,
}

/// `{"type": …, "id": …}`, or the same inside `{"__entity": …}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Name {
    #[serde(rename = "type")]
    kind: Option<String>,
    id: Option<String>,
    #[serde(rename = "__entity")]
    entity: Option<Inner>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Inner {
    #[serde(rename = "type")]
    kind: String,
    id: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Group,
    Person,
    Workload,
    Grant,
}

/// What is read so far, and what is wrong with it.
struct Reader<'a> {
    text: &'a str,
    words: &'a Vocabulary,
    faults: Vec<Fault>,
    /// By entity: where it stands, and what it is directly in. In an order, so that faults are told in it.
    parents: BTreeMap<EntityUid, (usize, Vec<EntityUid>)>,
    owners: HashMap<GrantName, (usize, EntityUid)>,
}

impl Relations {
    /// Reads the file.
    ///
    /// # Errors
    /// Every fault with its place.
    pub(in crate::policy) fn read(text: &str, words: &Vocabulary) -> Result<Self, LoadError> {
        if text.len() > MOST_BYTES {
            let why = format!("is over {} MiB", MOST_BYTES / 1024 / 1024);
            return Err(Fault::of_file(RELATIONS_FILE, why).into());
        }
        let entities: Vec<&RawValue> =
            serde_json::from_str(text).map_err(|error| syntax(text, 0, text, &error))?;
        let (faults, parents, owners) = (Vec::new(), BTreeMap::new(), HashMap::new());
        let mut reader = Reader { text, words, faults, parents, owners };
        if entities.len() > MOST_ENTITIES {
            reader.fault(0, format!("has over {MOST_ENTITIES} entities"));
        }
        for entity in entities.iter().take(MOST_ENTITIES) {
            reader.take(entity.get());
        }
        reader.finish()
    }
}

/// What the parser found in `part`, which stands at `offset` of the file.
fn syntax(text: &str, offset: usize, part: &str, error: &serde_json::Error) -> Fault {
    let line = part.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum::<usize>();
    let message = error.to_string();
    let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
    let place = offset + line + error.column().saturating_sub(1);
    Fault::at(RELATIONS_FILE, text, place.min(text.len()), message)
}

impl Reader<'_> {
    fn fault(&mut self, offset: usize, message: String) {
        self.faults.push(Fault::at(RELATIONS_FILE, self.text, offset, message));
    }

    fn take(&mut self, part: &str) {
        // A raw value is a part of the text that it was read from.
        let offset = part.as_ptr().addr().saturating_sub(self.text.as_ptr().addr());
        let written: Entry = match serde_json::from_str(part) {
            Ok(written) => written,
            Err(error) => return self.faults.push(syntax(self.text, offset, part, &error)),
        };
        let Some((kind, name)) = self.name(offset, &written.uid) else { return };
        let mut parents = Vec::new();
        for parent in &written.parents {
            match self.name(offset, parent) {
                Some((Kind::Group, parent)) if kind != Kind::Grant => {
                    if parents.contains(&parent) {
                        self.fault(offset, format!("`{name}` has the parent `{parent}` twice"));
                    }
                    parents.push(parent);
                }
                Some((_, parent)) if kind == Kind::Grant => {
                    let why = "the sets of a grant are in the configuration";
                    self.fault(offset, format!("`{name}` has the parent `{parent}`: {why}"));
                }
                Some((_, parent)) => {
                    self.fault(offset, format!("`{name}` has the parent `{parent}`, which is no group"));
                }
                None => {}
            }
        }
        self.put(offset, kind, &name, written.attrs.owner.as_ref(), parents);
    }

    fn put(
        &mut self,
        offset: usize,
        kind: Kind,
        name: &EntityUid,
        owner: Option<&Name>,
        parents: Vec<EntityUid>,
    ) {
        let owner = match (kind, owner) {
            (_, None) => None,
            (Kind::Grant, Some(owner)) => match self.name(offset, owner) {
                Some((Kind::Group, owner)) => Some(owner),
                Some((_, other)) => {
                    return self.fault(offset, format!("`{name}` is owned by `{other}`, which is no group"));
                }
                None => return,
            },
            _ => return self.fault(offset, format!("`{name}` has an owner: only grants have one")),
        };
        let is_new = match (kind, owner) {
            (Kind::Grant, owner) => {
                let Ok(grant) = GrantName::new(name.id().unescaped()) else { return };
                let Some(owner) = owner else {
                    return self.fault(offset, format!("`{name}` has no owner; leave it out"));
                };
                self.owners.insert(grant, (offset, owner)).is_none()
            }
            (Kind::Group | Kind::Person | Kind::Workload, _) => {
                self.parents.insert(name.clone(), (offset, parents)).is_none()
            }
        };
        if !is_new {
            self.fault(offset, format!("`{name}` is there twice"));
        }
    }

    /// An entity's name, when it is of a kind that is taken and can be somebody's.
    fn name(&mut self, offset: usize, name: &Name) -> Option<(Kind, EntityUid)> {
        let (kind, id) = match (&name.kind, &name.id, &name.entity) {
            (Some(kind), Some(id), None) => (kind, id),
            (None, None, Some(inner)) => (&inner.kind, &inner.id),
            _ => {
                self.fault(offset, "an entity is named by `type` and `id`".to_owned());
                return None;
            }
        };
        let words = self.words;
        let (kind, type_name) = match kind.as_str() {
            "Tidegate::Group" => (Kind::Group, &words.group),
            "Tidegate::Person" => (Kind::Person, &words.person),
            "Tidegate::Workload" => (Kind::Workload, &words.workload),
            "Tidegate::Grant" => (Kind::Grant, &words.grant),
            other => {
                let known = "`Tidegate::Group`, `Tidegate::Person`, `Tidegate::Workload`, `Tidegate::Grant`";
                self.fault(offset, format!("`{}` is not taken here: {known} are", other.escape_default()));
                return None;
            }
        };
        let name = uid(type_name, id);
        match wrong_id(kind, id, &name) {
            None => Some((kind, name)),
            Some(why) => {
                self.fault(offset, format!("`{name}`: {why}"));
                None
            }
        }
    }

    fn finish(mut self) -> Result<Relations, LoadError> {
        self.check_declared();
        let above = self.flatten();
        LoadError::check(self.faults)?;
        let mut below: HashMap<EntityUid, Vec<EntityUid>> = HashMap::new();
        for (name, groups) in &above {
            for group in groups {
                below.entry(group.clone()).or_default().push(name.clone());
            }
        }
        for names in below.values_mut() {
            names.sort();
        }
        let written = Written {
            above: above.into_iter().map(|(name, groups)| (name, groups.into())).collect(),
            below,
            owners: self.owners.into_iter().map(|(grant, (_, owner))| (grant, owner)).collect(),
        };
        Ok(Relations { written: Arc::new(written), asked_about: HashSet::new() })
    }

    /// A mistyped parent would be a group of its own that nobody else is in.
    fn check_declared(&mut self) {
        let used = self.parents.iter().flat_map(|(name, (offset, parents))| {
            parents.iter().map(move |parent| (*offset, format!("`{name}` is in"), parent))
        });
        let owners = self.owners.iter().map(|(grant, (offset, owner))| {
            (*offset, format!("`Tidegate::Grant::\"{grant}\"` is owned by"), owner)
        });
        let missing: Vec<_> = used
            .chain(owners)
            .filter(|(_, _, group)| !self.parents.contains_key(*group))
            .map(|(offset, what, group)| (offset, format!("{what} `{group}`, which is not declared here")))
            .collect();
        for (offset, message) in missing {
            self.fault(offset, message);
        }
    }

    /// Every entity with all groups above it. Parents come before their children, so nothing is walked twice; what never
    /// gets its turn is in a circle or below one.
    fn flatten(&mut self) -> HashMap<EntityUid, Vec<EntityUid>> {
        let mut above: HashMap<EntityUid, Vec<EntityUid>> = HashMap::new();
        let mut children: HashMap<&EntityUid, Vec<&EntityUid>> = HashMap::new();
        let mut waits: HashMap<&EntityUid, usize> = HashMap::new();
        let mut ready = Vec::new();
        for (name, (_, parents)) in &self.parents {
            let declared = parents.iter().filter(|parent| self.parents.contains_key(*parent));
            let declared: Vec<&EntityUid> = declared.collect();
            for parent in &declared {
                children.entry(*parent).or_default().push(name);
            }
            match declared.len() {
                0 => ready.push(name),
                count => drop(waits.insert(name, count)),
            }
        }
        let mut faults = Vec::new();
        while let Some(name) = ready.pop() {
            let Some((offset, parents)) = self.parents.get(name) else { continue };
            let mut groups = parents.clone();
            groups.extend(parents.iter().filter_map(|parent| above.get(parent)).flatten().cloned());
            groups.sort();
            groups.dedup();
            if groups.len() > MOST_ABOVE {
                faults.push((*offset, format!("`{name}` is in over {MOST_ABOVE} groups")));
                groups.truncate(MOST_ABOVE);
            }
            above.insert(name.clone(), groups);
            for child in children.get(name).into_iter().flatten() {
                let Some(left) = waits.get_mut(*child) else { continue };
                *left -= 1;
                if *left == 0 {
                    waits.remove(*child);
                    ready.push(child);
                }
            }
        }
        faults.extend(waits.keys().filter(|name| self.is_below_itself(name)).filter_map(|name| {
            let (offset, _) = self.parents.get(*name)?;
            Some((*offset, format!("`{name}` is in itself, by way of its parents")))
        }));
        for (offset, message) in faults {
            self.fault(offset, message);
        }
        above
    }

    fn is_below_itself(&self, name: &EntityUid) -> bool {
        let parents = |name: &EntityUid| self.parents.get(name).map(|(_, parents)| parents.as_slice());
        let mut seen = HashSet::new();
        let mut next: Vec<&EntityUid> = parents(name).unwrap_or_default().iter().collect();
        while let Some(group) = next.pop() {
            if group == name {
                return true;
            }
            if seen.insert(group) {
                next.extend(parents(group).unwrap_or_default());
            }
        }
        false
    }
}

/// Ids that nobody can have, or that somebody else could take.
fn wrong_id(kind: Kind, id: &str, name: &EntityUid) -> Option<&'static str> {
    let is_text = (1..=MOST_ID_BYTES).contains(&id.len()) && !id.chars().any(char::is_control);
    match kind {
        Kind::Grant => GrantName::new(id).is_err().then_some("no grant can be called so"),
        Kind::Person | Kind::Workload => {
            principal_id(name).is_none().then_some("the id of a person or workload is `<issuer name>|<sub>`")
        }
        Kind::Group if !is_text => Some("the id of a group is 1-256 bytes without control characters"),
        // `Platform Team/leads` looks like a token's group and can be none.
        Kind::Group if id.contains('/') => token_group(id)
            .is_none_or(|(_, group)| group.is_empty())
            .then_some("a group with `/` is `<issuer name>/<group>`; a team's id has none"),
        Kind::Group => None,
    }
}
