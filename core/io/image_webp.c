#include "core/io/image_private.h"
#include "core/mem.h"

#include <webp/decode.h>
#include <webp/demux.h>

static const char *status_text(VP8StatusCode status)
{
    switch (status) {
    case VP8_STATUS_NOT_ENOUGH_DATA:
        return "the file ends in the middle";
    case VP8_STATUS_UNSUPPORTED_FEATURE:
        return "it uses what the library does not know";
    case VP8_STATUS_OK:
    case VP8_STATUS_OUT_OF_MEMORY:
    case VP8_STATUS_INVALID_PARAM:
    case VP8_STATUS_BITSTREAM_ERROR:
    case VP8_STATUS_SUSPENDED:
    case VP8_STATUS_USER_ABORT:
        break;
    }
    return "its data are broken";
}

static ath_err check(const ath_image_file *file, VP8StatusCode status)
{
    ATH_NEED(status != VP8_STATUS_OUT_OF_MEMORY, ATH_ENOMEM, "%s: no memory to read a WebP",
             file->name);
    ATH_NEED(status == VP8_STATUS_OK, ATH_EFORMAT, "%s: not a good WebP: %s", file->name,
             status_text(status));
    return ATH_OK;
}

/* A cut file has none: whether that is an error is for the pixels to tell. */
static void read_orientation(const ath_image_file *file, ath_image_raw *raw)
{
    const WebPData data = {.bytes = file->bytes, .size = file->n};
    WebPChunkIterator chunk;
    WebPDemuxer *demuxer = WebPDemux(&data);

    if (!demuxer) return;
    if (WebPDemuxGetChunk(demuxer, "EXIF", 1, &chunk)) {
        raw->orientation = ath_image_exif(chunk.chunk.bytes, chunk.chunk.size);
        WebPDemuxReleaseChunkIterator(&chunk);
    }
    WebPDemuxDelete(demuxer);
}

ath_err ath_image_decode_webp(const ath_image_file *file, int n_channels, ath_image_raw *raw)
{
    WebPDecoderConfig config;

    ATH_NEED(WebPInitDecoderConfig(&config), ATH_ENOTSUP, "%s: another version of libwebp",
             file->name);
    ATH_TRY(check(file, WebPGetFeatures(file->bytes, file->n, &config.input)));
    ATH_NEED(!config.input.has_animation, ATH_EFORMAT, "%s: an animation: save one of its pictures",
             file->name);
    ATH_TRY(
        ath_image_set_size(file, (uint32_t)config.input.width, (uint32_t)config.input.height, raw));
    read_orientation(file, raw);
    if (!n_channels) return ATH_OK;
    ATH_TRY(ath_image_new_pixels(file, n_channels, raw));
    const int row = n_channels * raw->width;
    config.output.colorspace = n_channels == 4 ? MODE_RGBA : MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA.rgba = raw->pixels;
    config.output.u.RGBA.stride = row;
    config.output.u.RGBA.size = (size_t)row * (size_t)raw->height;
    VP8StatusCode status = WebPDecode(file->bytes, file->n, &config);
    WebPFreeDecBuffer(&config.output);
    return check(file, status);
}
