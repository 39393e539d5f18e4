//! A schema registry by Confluent's API: `GET /schemas/ids/{id}`, `/schemas/guids/{guid}`.

use std::time::Duration;

use super::mapping::{Fetch, SchemaId, Schemas};

const PATIENCE: Duration = Duration::from_secs(10);

/// Where schemas come from.
#[derive(Clone, Debug)]
pub struct Registry {
    http: reqwest::Client,
    url: String,
}

impl Registry {
    /// `url` may hold `user:password@`, as it was resolved.
    pub fn new(url: &str) -> Result<Self, String> {
        let http = reqwest::Client::builder().timeout(PATIENCE).build();
        let http = http.map_err(|_| "the HTTP client cannot be made".to_owned())?;
        Ok(Self { http, url: url.trim_end_matches('/').to_owned() })
    }

    /// Asks for what `schemas` does not know yet. An error = it could not be found out; nothing was learnt of it.
    pub async fn fetch(
        &self,
        schemas: &Schemas,
        ids: impl IntoIterator<Item = SchemaId>,
    ) -> Result<(), String> {
        for id in ids {
            if !schemas.knows(&id) {
                schemas.learn(id, self.get(&id).await?);
            }
        }
        Ok(())
    }

    async fn get(&self, id: &SchemaId) -> Result<Fetch, String> {
        let kind = match id {
            SchemaId::Number(_) => "ids",
            SchemaId::Guid(_) => "guids",
        };
        let path = format!("{}/schemas/{kind}/{id}", self.url);
        // The error of reqwest holds the URL, and that may hold a password.
        let failed =
            |error: reqwest::Error| format!("the schema registry cannot be reached: {}", error.without_url());
        let answer = self.http.get(path).send().await.map_err(failed)?;
        match answer.status().as_u16() {
            200 => {
                let body: Body = answer.json().await.map_err(failed)?;
                match body.schema_type.as_deref() {
                    None | Some("AVRO") => Ok(Fetch::Schema(body.schema)),
                    // A number that stands for another kind of schema is none of ours.
                    Some(_) => Ok(Fetch::Unknown),
                }
            }
            404 => Ok(Fetch::Unknown),
            status => Err(format!("the schema registry answered {status} for schema {id}")),
        }
    }
}

#[derive(serde::Deserialize)]
struct Body {
    schema: String,
    #[serde(rename = "schemaType")]
    schema_type: Option<String>,
}
