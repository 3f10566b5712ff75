//! The contract of [`Embedder`]. The adapter has a model that knows "dog", "pet" and "house", and for which a dog is rather a pet
//! than a house.

use super::Fixture;
use crate::memories::{Embedder, Embedding, TextKind};

/// Generates a test per case of this suite.
#[doc(hidden)]
#[macro_export]
macro_rules! embedder_cases {
    ($fixture:expr) => {
        $crate::conformance_cases!(
            embedder,
            dyn $crate::memories::Embedder,
            $fixture,
            [
                what_means_nearly_the_same_is_near,
                vectors_come_in_the_order_of_their_texts_and_do_not_depend_on_each_other,
                a_text_without_words_has_no_vector,
                a_text_of_any_length_has_one,
                every_vector_has_the_dimensions_of_the_model,
                concurrent_callers_do_not_mix_up_their_texts,
            ]
        );
    };
}

async fn vector(embedder: &dyn Embedder, text: &str, of: TextKind) -> Embedding {
    let vectors = embedder.embed(vec![text.to_owned()], of).await.unwrap();
    assert_eq!(vectors.len(), 1);
    vectors.into_iter().next().flatten().expect("a vector")
}

pub async fn what_means_nearly_the_same_is_near(fixture: Fixture<dyn Embedder>) {
    let pet = vector(fixture.port(), "pet", TextKind::Query).await;
    let (dog, house) = (
        vector(fixture.port(), "dog", TextKind::Memory).await,
        vector(fixture.other_instance(), "house", TextKind::Memory).await,
    );
    assert!(
        pet.similarity(&dog) > pet.similarity(&house) + 100_000,
        "{} {}",
        pet.similarity(&dog),
        pet.similarity(&house)
    );
    assert!(pet.similarity(&pet) > 990_000);
}

pub async fn vectors_come_in_the_order_of_their_texts_and_do_not_depend_on_each_other(fixture: Fixture<dyn Embedder>) {
    let texts = ["dog", "", "a house for the dog", "dog"].map(ToOwned::to_owned).to_vec();
    let vectors = fixture.port().embed(texts, TextKind::Memory).await.unwrap();
    assert_eq!(vectors.len(), 4);
    assert_eq!(vectors[0], Some(vector(fixture.port(), "dog", TextKind::Memory).await));
    assert_eq!(vectors[1], None);
    assert_eq!(vectors[2], Some(vector(fixture.port(), "a house for the dog", TextKind::Memory).await));
    assert_eq!(vectors[3], vectors[0]);
    assert!(fixture.port().embed(Vec::new(), TextKind::Memory).await.unwrap().is_empty());
}

pub async fn a_text_without_words_has_no_vector(fixture: Fixture<dyn Embedder>) {
    for text in ["", " ", "\n\t"] {
        let vectors = fixture.port().embed(vec![text.to_owned()], TextKind::Memory).await.unwrap();
        assert_eq!(vectors, [None], "{text:?}");
    }
}

pub async fn a_text_of_any_length_has_one(fixture: Fixture<dyn Embedder>) {
    let long = format!("dog {}", "house 🦊 ".repeat(20_000));
    vector(fixture.port(), &long, TextKind::Memory).await;
    vector(fixture.port(), &format!("dog {}", "x".repeat(200_000)), TextKind::Memory).await;
}

pub async fn every_vector_has_the_dimensions_of_the_model(fixture: Fixture<dyn Embedder>) {
    for text in ["dog", "the dog of the house"] {
        let vector = vector(fixture.port(), text, TextKind::Query).await;
        assert_eq!(vector.values().len(), fixture.port().model().dimensions);
    }
    assert_eq!(fixture.port().model(), fixture.other_instance().model());
}

pub async fn concurrent_callers_do_not_mix_up_their_texts(fixture: Fixture<dyn Embedder>) {
    const TEXTS: [&str; 3] = ["dog", "house", "the dog of the house"];
    let mut expected = Vec::new();
    for text in TEXTS {
        expected.push(vector(fixture.port(), text, TextKind::Query).await);
    }
    let answers = fixture
        .together(100, |number, embedder| async move {
            let of = if number % 2 == 0 { TextKind::Query } else { TextKind::Memory };
            vector(&*embedder, TEXTS[number % 3], of).await
        })
        .await;
    for (number, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer, expected[number % 3]);
    }
}
