//! REPLACED BY THE MERGE: the shape of `issuance::aws::SessionEnder`.

use crate::clock::Moment;
use crate::grants::Grant;
use crate::ids::ElevationId;

#[derive(Debug)]
pub struct EndOrder<'a> {
    pub grant: &'a Grant,
    pub elevation: ElevationId,
    pub since: Moment,
    pub until: Moment,
}

#[derive(Debug, thiserror::Error)]
#[error("not built")]
pub struct EndError;

#[derive(Clone, Debug)]
pub struct SessionEnder;

impl SessionEnder {
    pub async fn deny(&self, _: &EndOrder<'_>) -> Result<(), EndError> {
        Err(EndError)
    }
    pub async fn lift(&self, _: &EndOrder<'_>) -> Result<(), EndError> {
        Err(EndError)
    }
}
