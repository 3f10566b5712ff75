//! `memgate embed`: the vectors by which memories are found that mean what is asked.

use clap::{Args, Subcommand};
use serde_json::{Map, json};

use super::{CliError, open_with_model, output};
use crate::app::Backend;
use crate::config::Config;

/// See and rebuild the vectors of memories (MEMGATE_EMBEDDING_MODEL).
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Vectors are made in the background by `memgate serve`, of memories that have none of its model: these commands are not needed \
for that.")]
pub(super) enum Embed {
    /// Show how many memories have a vector of the configured model, and how many wait for one
    Status(Format),
    /// Delete all vectors and make them anew, with the configured model
    ///
    /// Works beside a running service. Until it is done, memories without a vector are found by their words.
    Rebuild(Format),
}

#[derive(Debug, Args)]
pub(super) struct Format {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Embed {
    pub(super) async fn run(self, config: &Config) -> Result<(), CliError> {
        let backend = open_with_model(config).await?;
        match self {
            Self::Status(Format { json }) => status(&backend, json).await,
            Self::Rebuild(Format { json }) => rebuild(&backend, json).await,
        }
    }
}

async fn status(backend: &Backend, as_json: bool) -> Result<(), CliError> {
    let Some(counts) = backend.vector_counts().await.map_err(CliError::failed)? else {
        return Err(CliError::failed("the memories are in a memory bank service, and memgate has no vectors of them"));
    };
    let model = backend.embedding_model();
    let id = model.map(|model| model.id.as_str());
    let of = |wanted: Option<&str>| {
        counts.embedded.iter().find(|(model, _)| Some(&**model) == wanted).map_or(0, |(_, n)| *n)
    };
    let embedded = of(id);
    let waiting = if model.is_some() { counts.memories.saturating_sub(embedded) } else { 0 };
    let others = counts.embedded.iter().filter(|(model, _)| Some(&**model) != id);
    if as_json {
        let others: Map<_, _> = others.map(|(model, vectors)| (model.clone(), json!(vectors))).collect();
        return output::json(&json!({
            "model": model.map(|model| json!({ "id": model.id.as_str(), "dimensions": model.dimensions })),
            "memories": counts.memories,
            "embedded": embedded,
            "waiting": waiting,
            "of_other_models": others,
            "made_with": counts.model,
        }));
    }
    match model {
        Some(model) => {
            output::line(format!("The model {} has vectors of {} dimensions.", model.id, model.dimensions))?;
            output::line(format!("{embedded} of {} memories are embedded; {waiting} wait.", counts.memories))?;
            if counts.model.as_deref().is_some_and(|made_with| made_with != model.id.as_str()) {
                output::line(
                    "A service with another model runs or ran last: it makes the vectors until one with this model starts.",
                )?;
            }
        }
        None => output::line("MEMGATE_EMBEDDING_MODEL is not set: memories are found by their words.")?,
    }
    for (model, vectors) in others {
        output::line(format!("{vectors} vectors are of the model {model}."))?;
    }
    Ok(())
}

async fn rebuild(backend: &Backend, as_json: bool) -> Result<(), CliError> {
    let Some(model) = backend.embedding_model() else {
        return Err(CliError::failed("MEMGATE_EMBEDDING_MODEL is not set: there is no model to make vectors with"));
    };
    backend.adopt_embedding_model().await.map_err(CliError::failed)?;
    backend.delete_vectors().await.map_err(CliError::failed)?;
    let embedded = backend.embed().await.map_err(CliError::failed)?;
    let counts = backend.vector_counts().await.map_err(CliError::failed)?;
    if counts.is_some_and(|counts| counts.model.as_deref() != Some(model.id.as_str())) {
        return Err(CliError::failed(format!(
            "a service with another model started meanwhile and makes the vectors now; {embedded} memories were embedded with the \
             model {}",
            model.id
        )));
    }
    if as_json {
        return output::json(&json!({ "model": model.id.as_str(), "embedded": embedded }));
    }
    output::line(format!("{embedded} memories are embedded with the model {}.", model.id))
}
