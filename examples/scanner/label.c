/* Labels arrive packed: a count, then the character it counts. */
#include <ctype.h>
#include <stddef.h>

/* Expands "3A1B" to "AAAB". Returns the length, or -1 if the text is malformed or does not fit. */
int unpack_label(const char *packed, char *out, size_t capacity)
{
    size_t used = 0;

    while (*packed != '\0') {
        size_t count = 0;
        if (!isdigit((unsigned char)*packed))
            return -1;
        while (isdigit((unsigned char)*packed))
            count = count * 10 + (size_t)(*packed++ - '0');
        if (*packed == '\0' || used + count >= capacity)
            return -1;
        while (count-- > 0)
            out[used++] = *packed;
        packed++;
    }
    out[used] = '\0';
    return (int)used;
}
