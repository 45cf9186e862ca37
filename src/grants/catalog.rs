//! Every grant by its name.
use std::sync::Arc;
use super::Grant;
use crate::ids::GrantName;

#[derive(Clone, Debug, Default)]
pub struct Catalog {}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    #[error("two grants are called `{0}`")]
    Duplicate(GrantName),
}

impl Catalog {
    pub fn new(grants: Vec<Grant>) -> Result<Self, CatalogError> { todo!() }
    pub fn resolve(&self, name: &GrantName) -> Option<&Arc<Grant>> { todo!() }
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Grant>> { std::iter::empty() }
}
