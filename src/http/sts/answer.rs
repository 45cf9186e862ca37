//! The good answers, in the shape and the order of STS's own.

use axum::http::header;
use axum::response::{IntoResponse as _, Response};

use super::StsError;
use super::xml::Xml;
use crate::exchange::{CallerIdentity, Issued, OpenCredential};
use crate::grants::RoleArn;
use crate::ids::RequestId;

/// One of the places where a secret is written to a caller.
pub(super) fn assumed(issued: &Issued, request_id: RequestId) -> Result<Response, StsError> {
    let OpenCredential::Aws {
        access_key_id,
        secret_access_key,
        session_token,
        role_arn,
        session_name,
        source_identity,
        assumed_role_id,
        packed_policy_percent,
        expires_at,
    } = &issued.credential
    else {
        return Err(StsError::NoAwsCredential);
    };
    let assumed = RoleArn::new(role_arn).map(|role| role.assumed(session_name)).ok();
    let presented = &issued.presented;
    let text = document("AssumeRoleWithWebIdentity", request_id, |xml| {
        xml.text("SubjectFromWebIdentityToken", presented.subject.as_str());
        xml.text_if("Audience", presented.audience.as_deref());
        xml.element("AssumedRoleUser", |xml| {
            xml.text_if("Arn", assumed.as_deref());
            xml.text_if("AssumedRoleId", assumed_role_id.as_deref());
        });
        xml.element("Credentials", |xml| {
            xml.text("AccessKeyId", access_key_id);
            xml.text("SecretAccessKey", secret_access_key.expose());
            xml.text("SessionToken", session_token.expose());
            xml.text("Expiration", &expires_at.floor_second().to_string());
        });
        xml.text("SourceIdentity", source_identity);
        xml.text_if("Provider", presented.issuer.as_deref());
        xml.text_if("PackedPolicySize", packed_policy_percent.map(|percent| percent.to_string()).as_deref());
    });
    Ok(xml_answer(text))
}

/// `GetCallerIdentity`
pub(super) fn identified(caller: &CallerIdentity, request_id: RequestId) -> Response {
    xml_answer(document("GetCallerIdentity", request_id, |xml| {
        xml.text("Arn", &caller.arn);
        xml.text_if("UserId", caller.user_id.as_deref());
        xml.text("Account", &caller.account);
    }))
}

fn document(action: &str, request_id: RequestId, result: impl FnOnce(&mut Xml)) -> String {
    Xml::document(&format!("{action}Response"), |xml| {
        xml.element(&format!("{action}Result"), result);
        xml.element("ResponseMetadata", |xml| xml.text("RequestId", &request_id.to_string()));
    })
}

pub(super) fn xml_answer(text: String) -> Response {
    ([(header::CONTENT_TYPE, "text/xml"), (header::CACHE_CONTROL, "no-store")], text).into_response()
}
