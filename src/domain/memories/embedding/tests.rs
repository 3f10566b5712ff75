use super::*;

#[test]
fn a_vector_keeps_its_direction_and_not_its_length() {
    let (short, long) = (Embedding::of(&[3.0, 4.0, 0.0]).unwrap(), Embedding::of(&[3e30, 4e30, 0.0]).unwrap());
    assert_eq!(short, long);
    assert!((short.similarity(&long) - 1_000_000).abs() < 5_000);
    let opposite = Embedding::of(&[-3.0, -4.0, 0.0]).unwrap();
    assert!((short.similarity(&opposite) + 1_000_000).abs() < 5_000);
    let across = Embedding::of(&[0.0, 0.0, 1e-30]).unwrap();
    assert_eq!(short.similarity(&across), 0);
}

#[test]
fn eight_bits_are_enough_for_the_angle() {
    // Angles of vectors that look random, with as many dimensions as models have.
    let mut state = 7_u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f32::from(u16::try_from(state >> 48).unwrap()) / 32_768.0 - 1.0
    };
    for _ in 0..20 {
        let (a, b): (Vec<f32>, Vec<f32>) = ((0..384).map(|_| random()).collect(), (0..384).map(|_| random()).collect());
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
        let exact = dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt();
        let quantized = Embedding::of(&a).unwrap().similarity(&Embedding::of(&b).unwrap());
        assert!((f64::from(quantized) / 1e6 - exact).abs() < 0.003, "{quantized} {exact}");
    }
}

#[test]
fn every_dimension_counts() {
    for dimensions in [1, 3, 15, 16, 17, 31, 32, 50] {
        for place in 0..dimensions {
            let one = |place: usize| {
                let mut vector = vec![0.0; dimensions];
                vector[place] = 1.0;
                Embedding::of(&vector).unwrap()
            };
            assert_eq!(one(place).similarity(&one(place)), 1_000_000, "{place} of {dimensions}");
            if place > 0 {
                assert_eq!(one(place).similarity(&one(place - 1)), 0);
            }
        }
    }
}

#[test]
fn what_has_no_direction_has_no_vector() {
    for vector in [
        &[][..],
        &[0.0, 0.0],
        &[0.0, -0.0],
        &[f32::NAN, 1.0],
        &[f32::INFINITY, 1.0],
        &[1.0, f32::NEG_INFINITY],
        &vec![1.0; Embedding::MAX_DIMENSIONS + 1],
    ] {
        assert!(Embedding::of(vector).is_none(), "{} values", vector.len());
    }
    assert!(Embedding::of(&vec![f32::MAX; Embedding::MAX_DIMENSIONS]).is_some());
}

#[test]
fn a_vector_does_not_show_what_it_says() {
    let vector = Embedding::of(&[0.25, -1.0]).unwrap();
    assert_eq!(format!("{vector:?}"), "Embedding { dimensions: 2, .. }");
}

#[test]
fn ids_of_models_fit_into_logs_and_columns() {
    for id in ["a", "0123456789abcdef", "mini-lm"] {
        assert_eq!(id.parse::<EmbeddingModelId>().unwrap().as_str(), id);
    }
    for id in ["", "A", "a b", "a/b", &"a".repeat(65)] {
        assert!(id.parse::<EmbeddingModelId>().is_err(), "{id}");
    }
}
