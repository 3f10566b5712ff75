//! Transformers, in the format ONNX.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::available_parallelism;

use rten::{Model, NodeId, RunOptions, ThreadPool, Value, ValueOrView};
use rten_tensor::prelude::*;
use serde_json::Value as Json;

use super::error::ModelError;
use super::files::{ModelFolder, model_id};
use super::text_model::TextModel;
use super::text_tokenizer::TextTokenizer;
use crate::domain::memories::{Embedding, EmbeddingModelId, TextKind};
use crate::domain::system::BoxError;

/// How the vector of a text comes from those of its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pooling {
    /// Their mean.
    Mean,
    /// That of the first, which marks the beginning.
    First,
}

/// What a model takes.
#[derive(Clone, Copy)]
enum Input {
    Tokens,
    Mask,
    Types,
}

/// A transformer. It computes one text at a time: how a text is rounded must not depend on its company.
pub(super) struct Transformer {
    tokenizer: TextTokenizer,
    model: Model,
    inputs: Vec<(NodeId, Input)>,
    output: NodeId,
    pooling: Pooling,
    dimensions: usize,
    for_queries: Arc<ThreadPool>,
    for_memories: Arc<ThreadPool>,
}

impl Transformer {
    pub(super) fn load(folder: &ModelFolder) -> Result<(Self, EmbeddingModelId), ModelError> {
        let (file, tokenizer_json, pooling) = (folder.read_model()?, folder.read_tokenizer()?, pooling(folder)?);
        let tokenizer = TextTokenizer::load(folder, &tokenizer_json, true)?;
        check_vocabulary(folder, &tokenizer)?;
        let details = format!("{pooling:?} {}", tokenizer.window());
        let id = model_id("transformer", &[&file, &tokenizer_json, details.as_bytes()])?;
        if !is_message(&file) {
            return Err(folder.invalid_model("is not an ONNX model, or not all of one"));
        }
        let model = Model::load(file)
            .map_err(|error| folder.invalid_model(&format!("is not an ONNX model that memgate runs: {error}")))?;
        let inputs = inputs(folder, &model)?;
        let output = output(&model).ok_or_else(|| folder.invalid_model("has no output"))?;
        let pool = |threads| Arc::new(ThreadPool::with_num_threads(threads));
        let processors = available_parallelism().map_or(1, NonZeroUsize::get);
        let mut transformer = Self {
            tokenizer,
            model,
            inputs,
            output,
            pooling,
            dimensions: 0,
            for_queries: pool(processors.clamp(1, 4)),
            for_memories: pool(1),
        };
        let vector = transformer.floats(super::PROBE, TextKind::Query);
        transformer.dimensions =
            vector.map_err(|error| folder.invalid_model(&format!("cannot be run: {error}")))?.len();
        if !(1..=Embedding::MAX_DIMENSIONS).contains(&transformer.dimensions) {
            let problem = format!("has vectors of {} numbers; memgate takes up to 4096", transformer.dimensions);
            return Err(folder.invalid_model(&problem));
        }
        Ok((transformer, id))
    }

    fn floats(&self, text: &str, of: TextKind) -> Result<Vec<f32>, BoxError> {
        let tokens = self.tokenizer.tokens(text)?;
        let count = tokens.len();
        let tokens = tokens.into_iter().map(i32::try_from).collect::<Result<Vec<_>, _>>()?;
        let inputs = self.inputs.iter().map(|(node, input)| {
            let values = match input {
                Input::Tokens => tokens.clone(),
                Input::Mask => vec![1; count],
                Input::Types => vec![0; count],
            };
            Ok((*node, ValueOrView::from(Value::from_shape([1, count], values)?)))
        });
        let inputs = inputs.collect::<Result<Vec<_>, BoxError>>()?;
        let threads = match of {
            TextKind::Query => &self.for_queries,
            TextKind::Memory => &self.for_memories,
        };
        let options = RunOptions::default().with_thread_pool(Some(Arc::clone(threads)));
        let [output] = self.model.run_n(inputs, [self.output], Some(options))?;
        let view = output.as_tensor_view::<f32>().ok_or("its output is not numbers")?;
        let (shape, values): (Vec<usize>, Vec<f32>) = (view.shape().to_vec(), view.to_vec());
        match shape[..] {
            [1, _] => Ok(values),
            [1, tokens, dimensions] if tokens == count && dimensions > 0 => {
                Ok(pooled(self.pooling, values.chunks_exact(dimensions), dimensions))
            }
            _ => Err(format!("its output has the shape {shape:?} for {count} tokens").into()),
        }
    }
}

impl TextModel for Transformer {
    fn dimensions(&self) -> usize {
        self.dimensions
    }

    fn vector(&self, text: &str, of: TextKind) -> Result<Option<Embedding>, BoxError> {
        Ok(Embedding::of(&self.floats(text, of)?))
    }
}

fn pooled<'a>(pooling: Pooling, tokens: impl Iterator<Item = &'a [f32]>, dimensions: usize) -> Vec<f32> {
    let counted = match pooling {
        Pooling::First => 1,
        Pooling::Mean => usize::MAX,
    };
    let mut sum = vec![0.0; dimensions];
    for token in tokens.take(counted) {
        for (sum, value) in sum.iter_mut().zip(token) {
            *sum += value;
        }
    }
    // Only the direction counts, so that the sum is as good as the mean.
    sum
}

/// Whether `bytes` are one whole message of protocol buffers, of which an ONNX model is one. rten's reader does not end on some
/// files that are not.
fn is_message(mut bytes: &[u8]) -> bool {
    fn varint(bytes: &mut &[u8]) -> Option<u64> {
        let mut number = 0;
        for place in 0..10 {
            let (&byte, rest) = bytes.split_first()?;
            *bytes = rest;
            number |= u64::from(byte & 0x7f) << (7 * place);
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }
    let mut field = || {
        let tag = varint(&mut bytes)?;
        let length = match tag & 7 {
            0 => varint(&mut bytes).map(|_| 0)?,
            1 => 8,
            2 => varint(&mut bytes)?,
            5 => 4,
            _ => return None,
        };
        bytes = bytes.get(usize::try_from(length).ok()?..)?;
        Some(bytes.is_empty())
    };
    loop {
        match field() {
            Some(true) => return true,
            Some(false) => {}
            None => return false,
        }
    }
}

fn inputs(folder: &ModelFolder, model: &Model) -> Result<Vec<(NodeId, Input)>, ModelError> {
    let inputs = model.input_ids().iter().map(|&node| {
        let info = model.node_info(node);
        let name = info.as_ref().and_then(rten::NodeInfo::name).unwrap_or("");
        let input = match name {
            "input_ids" => Input::Tokens,
            "attention_mask" => Input::Mask,
            "token_type_ids" => Input::Types,
            other => {
                let problem =
                    format!("has an input `{other}`; memgate knows `input_ids`, `attention_mask` and `token_type_ids`");
                return Err(folder.invalid_model(&problem));
            }
        };
        Ok((node, input))
    });
    let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
    if inputs.iter().any(|(_, input)| matches!(input, Input::Tokens)) {
        Ok(inputs)
    } else {
        Err(folder.invalid_model("has no input `input_ids`: it is not a model of texts"))
    }
}

/// The output that is the vector of the text, or else the first, which has those of the tokens.
fn output(model: &Model) -> Option<NodeId> {
    let name = |node: &&NodeId| model.node_info(**node).and_then(|info| info.name()) == Some("sentence_embedding");
    let outputs = model.output_ids();
    outputs.iter().find(name).or_else(|| outputs.first()).copied()
}

fn check_vocabulary(folder: &ModelFolder, tokenizer: &TextTokenizer) -> Result<(), ModelError> {
    let settings = folder.read_settings("config.json")?;
    let known = settings.as_ref().and_then(|settings| settings.get("vocab_size")).and_then(Json::as_u64);
    match known.map(|known| usize::try_from(known).unwrap_or(usize::MAX)) {
        Some(known) if known < tokenizer.vocabulary() => {
            let tokens = tokenizer.vocabulary();
            let problem = format!(
                "has {tokens} tokens, but by config.json the model knows {known}: they are of different models"
            );
            Err(folder.invalid("tokenizer.json", &problem))
        }
        _ => Ok(()),
    }
}

/// How sentence-transformers would make a vector of what the model returns. Without its files it is the mean.
fn pooling(folder: &ModelFolder) -> Result<Pooling, ModelError> {
    let mut settings_folder = "1_Pooling".to_owned();
    if let Some(modules) = folder.read_settings("modules.json")? {
        for module in modules.as_array().into_iter().flatten() {
            let text = |member: &str| module.get(member).and_then(Json::as_str).unwrap_or("");
            let kind = text("type").rsplit('.').next().unwrap_or("").to_owned();
            match kind.as_str() {
                "Transformer" | "Normalize" => {}
                "Pooling" => text("path").clone_into(&mut settings_folder),
                other => {
                    let problem = format!("has a step `{other}`, which memgate does not compute");
                    return Err(folder.invalid("modules.json", &problem));
                }
            }
        }
    }
    // A path out of the folder is nobody's.
    let name = if settings_folder.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c)) {
        format!("{settings_folder}/config.json")
    } else {
        return Err(folder.invalid("modules.json", "has a path that is not the name of a folder"));
    };
    let Some(settings) = folder.read_settings(&name)? else { return Ok(Pooling::Mean) };
    let mut modes: Vec<&str> = match settings.get("pooling_mode") {
        Some(Json::String(mode)) => vec![mode.as_str()],
        _ => settings
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(_, value)| **value == Json::Bool(true))
            .filter_map(|(member, _)| member.strip_prefix("pooling_mode_"))
            .collect(),
    };
    match (modes.pop(), modes.is_empty()) {
        (None | Some("mean" | "mean_tokens"), true) => Ok(Pooling::Mean),
        (Some("cls" | "cls_token"), true) => Ok(Pooling::First),
        _ => {
            Err(folder.invalid(&name, "asks for a pooling other than `mean` or `cls`, which memgate does not compute"))
        }
    }
}
