//! Looks into a file that somebody sent, and makes the picture in it anew. Pure.
//!
//! What comes out was encoded here: no metadata (a phone writes the place into it), nothing behind the picture,
//! nothing that another program could take for code. A file that claims to be enormous is refused by its head,
//! before memory is spent on it.

use super::Refusal;
use crate::limits;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use std::io::Cursor;

/// The quality of a JPEG, of 100: nobody sees a difference, and it is a third of the size.
const JPEG_QUALITY: u8 = 85;

/// A picture that was encoded here.
#[derive(Debug)]
pub(super) struct Picture {
    /// The file.
    pub bytes: Vec<u8>,
    /// `jpg` or `png`.
    pub extension: &'static str,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
}

/// Makes the picture anew, upright and with no edge longer than `edge`, pixels.
pub(super) fn made_anew(file: &[u8], edge: u32) -> Result<Picture, Refusal> {
    let format = sniff(file).ok_or(Refusal::NotAPicture)?;
    let mut bounds = Limits::default();
    bounds.max_image_width = Some(limits::PICTURE_SENT_EDGE_MAX);
    bounds.max_image_height = Some(limits::PICTURE_SENT_EDGE_MAX);
    bounds.max_alloc = Some(limits::PICTURE_MEMORY_MAX_BYTES);
    let mut reader = ImageReader::with_format(Cursor::new(file), format);
    reader.limits(bounds);
    let mut decoder = reader.into_decoder().map_err(refusal)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > limits::PICTURE_PIXELS_MAX {
        return Err(Refusal::PictureTooLarge);
    }
    let orientation = decoder.orientation().map_err(refusal)?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(refusal)?;
    picture.apply_orientation(orientation);
    if picture.width() > edge || picture.height() > edge {
        picture = picture.resize(edge, edge, FilterType::Triangle);
    }
    encode(&picture)
}

/// What a file is by its first bytes, whatever its name and its sender say.
fn sniff(file: &[u8]) -> Option<ImageFormat> {
    match file {
        [0xff, 0xd8, 0xff, ..] => Some(ImageFormat::Jpeg),
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(ImageFormat::Png),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(ImageFormat::WebP),
        _ => None,
    }
}

/// What is transparent stays a PNG, everything else becomes a JPEG.
fn encode(picture: &DynamicImage) -> Result<Picture, Refusal> {
    let mut bytes = Vec::new();
    let extension = if picture.color().has_alpha() {
        let plain = DynamicImage::ImageRgba8(picture.to_rgba8());
        plain.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).map_err(refusal)?;
        "png"
    } else {
        let encoder = JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY);
        picture.to_rgb8().write_with_encoder(encoder).map_err(refusal)?;
        "jpg"
    };
    Ok(Picture { bytes, extension, width: picture.width(), height: picture.height() })
}

fn refusal(error: image::ImageError) -> Refusal {
    match error {
        image::ImageError::Limits(_) => Refusal::PictureTooLarge,
        _ => Refusal::NotAPicture,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ImageBuffer, Rgb, Rgba};

    fn png(width: u32, height: u32) -> Vec<u8> {
        let picture = ImageBuffer::from_fn(width, height, |x, y| Rgb([x as u8, y as u8, 7]));
        let mut bytes = Vec::new();
        picture.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).unwrap();
        bytes
    }

    /// A PNG that claims a size in its head, and has a few bytes of it.
    fn png_that_claims(width: u32, height: u32) -> Vec<u8> {
        let mut head = Vec::new();
        head.extend(width.to_be_bytes());
        head.extend(height.to_be_bytes());
        head.extend([8, 6, 0, 0, 0]);
        let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
        for (kind, content) in [(b"IHDR", head.as_slice()), (b"IDAT", &[0x78, 0x9c, 0])] {
            file.extend(u32::try_from(content.len()).unwrap().to_be_bytes());
            let chunk = [kind, content].concat();
            file.extend(&chunk);
            file.extend(crc32(&chunk).to_be_bytes());
        }
        file
    }

    fn crc32(bytes: &[u8]) -> u32 {
        let step = |crc: u32, byte: &u8| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
                if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 }
            })
        };
        !bytes.iter().fold(u32::MAX, step)
    }

    #[test]
    fn a_picture_comes_out_small_and_as_our_own() {
        let made = made_anew(&png(64, 32), limits::PICTURE_EDGE_MAX).unwrap();
        assert_eq!((made.extension, made.width, made.height), ("jpg", 64, 32));
        assert_eq!(sniff(&made.bytes), Some(ImageFormat::Jpeg));
        let edge = limits::PICTURE_EDGE_MAX;
        let made = made_anew(&png(edge * 2, 10), edge).unwrap();
        assert_eq!((made.width, made.height), (edge, 5));
        let mut bytes = Vec::new();
        let clear = ImageBuffer::from_pixel(3, 3, Rgba([1_u8, 2, 3, 0]));
        clear.write_to(&mut Cursor::new(&mut bytes), ImageFormat::WebP).unwrap();
        assert_eq!(made_anew(&bytes, edge).unwrap().extension, "png");
    }

    #[test]
    fn what_a_phone_wrote_beside_the_picture_is_gone_and_it_stands_upright() {
        let mut plain = Vec::new();
        let picture = ImageBuffer::from_pixel(20, 10, Rgb([200_u8, 10, 10]));
        picture.write_to(&mut Cursor::new(&mut plain), ImageFormat::Jpeg).unwrap();
        // An EXIF segment: little endian, one entry, orientation 6 (to be turned by a quarter), then a secret.
        let mut exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0".to_vec();
        exif.extend(b"27.7154N 85.3123E");
        let mut file = plain[..2].to_vec();
        file.extend([0xff, 0xe1]);
        file.extend(u16::try_from(exif.len() + 2).unwrap().to_be_bytes());
        file.extend(&exif);
        file.extend(&plain[2..]);
        file.extend(b"<script>alert(1)</script>");
        let made = made_anew(&file, limits::PICTURE_EDGE_MAX).unwrap();
        assert_eq!((made.width, made.height), (10, 20));
        for secret in [&b"85.3123E"[..], b"Exif", b"<script>"] {
            assert!(!made.bytes.windows(secret.len()).any(|window| window == secret));
        }
    }

    #[test]
    fn bombs_and_what_is_no_picture_are_refused() {
        for (file, expected) in [
            (png_that_claims(60_000, 60_000), Refusal::PictureTooLarge),
            (png_that_claims(9_000, 9_000), Refusal::PictureTooLarge),
            (png_that_claims(u32::MAX, 1), Refusal::NotAPicture),
            (png_that_claims(100, 100), Refusal::NotAPicture),
            (png(10, 10)[..40].to_vec(), Refusal::NotAPicture),
            (b"GIF89a".to_vec(), Refusal::NotAPicture),
            (b"<svg onload=alert(1)>".to_vec(), Refusal::NotAPicture),
            (b"%PDF-1.7".to_vec(), Refusal::NotAPicture),
            (b"\xff\xd8\xff".to_vec(), Refusal::NotAPicture),
            (Vec::new(), Refusal::NotAPicture),
        ] {
            let refused = made_anew(&file, limits::PICTURE_EDGE_MAX).map(|made| made.extension);
            assert!(refused.is_err(), "{file:?}");
            if expected == Refusal::PictureTooLarge {
                assert_eq!(refused.unwrap_err(), expected);
            }
        }
    }
}
