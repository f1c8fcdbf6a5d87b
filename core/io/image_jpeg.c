#include "core/io/image_private.h"
#include "core/mem.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

/* libjpeg leaves a function through its error_exit. So everything that lives across it lies in this
 * struct, owned by the one function that frees it, and setjmp stands in a function that has nothing
 * else. */
typedef struct job {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_source_mgr source;
    struct jpeg_progress_mgr progress;
    jmp_buf jump;
    char says[JMSG_LENGTH_MAX];
    const ath_image_file *file;
    int n_channels;
    ath_image_raw *raw;
    uint8_t *row; /* as libjpeg gives it */
} job;

/* A progressive file of a few bytes per scan could keep a machine busy for hours. */
enum { SCANS_MAX = 500 };

static void on_error(j_common_ptr jpeg)
{
    job *j = jpeg->client_data;
    jpeg->err->format_message(jpeg, j->says);
    longjmp(j->jump, 1);
}

/* Odd markers are warnings to others and to us; damage to the pixels is an error. */
static void on_message(j_common_ptr jpeg, int level)
{
    const int code = jpeg->err->msg_code;

    if (level >= 0) return;
    if (code == JWRN_HIT_MARKER || code == JWRN_HUFF_BAD_CODE || code == JWRN_MUST_RESYNC ||
        code == JWRN_ARITH_BAD_CODE || code == JWRN_BOGUS_PROGRESSION)
        on_error(jpeg);
}

static void leave(job *j, const char *says)
{
    snprintf(j->says, sizeof j->says, "%s", says);
    longjmp(j->jump, 1);
}

static void on_progress(j_common_ptr jpeg)
{
    job *j = jpeg->client_data;
    if (j->jpeg.input_scan_number > SCANS_MAX) leave(j, "too many scans");
}

/* The whole file is in memory: asked for more, it has ended too early. */
static boolean on_more(j_decompress_ptr jpeg)
{
    leave(jpeg->client_data, "the file ends in the middle");
    return FALSE;
}

static void on_skip(j_decompress_ptr jpeg, long n)
{
    struct jpeg_source_mgr *source = jpeg->src;

    if (n <= 0) return;
    if ((size_t)n > source->bytes_in_buffer) on_more(jpeg);
    source->next_input_byte += n;
    source->bytes_in_buffer -= (size_t)n;
}

static void on_nothing(j_decompress_ptr jpeg)
{
    (void)jpeg;
}

static void set_up(job *j)
{
    jpeg_create_decompress(&j->jpeg); /* clears all but err and client_data */
    j->source = (struct jpeg_source_mgr){
        .next_input_byte = j->file->bytes,
        .bytes_in_buffer = j->file->n,
        .init_source = on_nothing,
        .fill_input_buffer = on_more,
        .skip_input_data = on_skip,
        .resync_to_restart = jpeg_resync_to_restart,
        .term_source = on_nothing,
    };
    j->progress.progress_monitor = on_progress;
    j->jpeg.src = &j->source;
    j->jpeg.progress = &j->progress;
}

static void read_orientation(job *j)
{
    for (jpeg_saved_marker_ptr m = j->jpeg.marker_list; m; m = m->next) {
        if (m->data_length < 6 || memcmp(m->data, "Exif\0", 6) != 0) continue;
        j->raw->orientation = ath_image_exif(m->data, m->data_length);
        return;
    }
}

static void read_head(job *j)
{
    set_up(j);
    jpeg_save_markers(&j->jpeg, JPEG_APP0 + 1, 0xffff);
    jpeg_read_header(&j->jpeg, TRUE);
    read_orientation(j);
}

/* a x b / 255, rounded. */
static uint8_t scaled(unsigned a, unsigned b)
{
    unsigned x = a * b + 128;
    return (uint8_t)((x + (x >> 8)) >> 8);
}

/* One row of CMYK (inverted, as Adobe and all after it write it) or RGB. */
static void spread(const job *j, uint8_t *to)
{
    const size_t n_from = (size_t)j->jpeg.output_components, n_to = (size_t)j->n_channels;

    for (size_t x = 0; x < (size_t)j->raw->width; x++) {
        const uint8_t *from = j->row + n_from * x;
        uint8_t *pixel = to + n_to * x;
        for (int i = 0; i < 3; i++) pixel[i] = n_from == 4 ? scaled(from[i], from[3]) : from[i];
        if (n_to == 4) pixel[3] = 255;
    }
}

static void start(job *j)
{
    j->jpeg.out_color_space = j->jpeg.num_components == 4 ? JCS_CMYK : JCS_RGB;
    jpeg_start_decompress(&j->jpeg);
}

static void read_rows(job *j)
{
    const size_t row = (size_t)j->raw->width * (size_t)j->n_channels;
    const bool is_plain = j->n_channels == 3 && j->jpeg.output_components == 3;

    while (j->jpeg.output_scanline < j->jpeg.output_height) {
        uint8_t *to = j->raw->pixels + row * j->jpeg.output_scanline;
        JSAMPROW into = is_plain ? to : j->row;
        jpeg_read_scanlines(&j->jpeg, &into, 1);
        if (!is_plain) spread(j, to);
    }
    jpeg_finish_decompress(&j->jpeg);
}

static bool runs(job *j, void (*body)(job *))
{
    if (setjmp(j->jump)) return false;
    body(j);
    return true;
}

static ath_err decode(job *j)
{
    ath_image_raw *raw = j->raw;

    ATH_NEED(runs(j, read_head), ATH_EFORMAT, "%s: not a good JPEG: %s", j->file->name, j->says);
    ATH_TRY(ath_image_set_size(j->file, j->jpeg.image_width, j->jpeg.image_height, raw));
    if (!j->n_channels) return ATH_OK;
    ATH_TRY(ath_image_new_pixels(j->file, j->n_channels, raw));
    ATH_TRY(ATH_NEW(4 * (size_t)raw->width, j->file->name, &j->row));
    ATH_NEED(runs(j, start) && runs(j, read_rows), ATH_EFORMAT, "%s: not a good JPEG: %s",
             j->file->name, j->says);
    return ATH_OK;
}

ath_err ath_image_decode_jpeg(const ath_image_file *file, int n_channels, ath_image_raw *raw)
{
    job j = {.file = file, .n_channels = n_channels, .raw = raw};

    j.jpeg.err = jpeg_std_error(&j.errors);
    j.errors.error_exit = on_error;
    j.errors.emit_message = on_message;
    j.jpeg.client_data = &j;
    ath_err err = decode(&j);
    jpeg_destroy_decompress(&j.jpeg);
    ath_mem_free(&j.row);
    return err;
}
