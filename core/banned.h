/*
 * Put before every C source by the build, which makes the use of anything deprecated an error:
 * functions that overrun, hide errors or keep state behind the caller's back. System headers declare
 * and use them without harm. Includes nothing, so that a source may still choose its feature macros.
 */
#ifndef ATH_CORE_BANNED_H
#define ATH_CORE_BANNED_H

#define ATH_BANNED(instead) __attribute__((deprecated("banned: use " instead)))

char *strcpy(char *, const char *) ATH_BANNED("memcpy, snprintf or core/str.h");
char *strncpy(char *, const char *, __SIZE_TYPE__) ATH_BANNED("memcpy, snprintf or core/str.h");
char *stpcpy(char *, const char *) ATH_BANNED("memcpy, snprintf or core/str.h");
char *strcat(char *, const char *) ATH_BANNED("snprintf or core/str.h");
char *strncat(char *, const char *, __SIZE_TYPE__) ATH_BANNED("snprintf or core/str.h");
int sprintf(char *, const char *, ...) ATH_BANNED("snprintf");
int vsprintf(char *, const char *, __builtin_va_list) ATH_BANNED("vsnprintf");
char *gets(char *) ATH_BANNED("core/io/file.h");

int atoi(const char *) ATH_BANNED("core/opt.h, or strtoll with all its checks");
long atol(const char *) ATH_BANNED("core/opt.h, or strtoll with all its checks");
long long atoll(const char *) ATH_BANNED("core/opt.h, or strtoll with all its checks");
double atof(const char *) ATH_BANNED("core/opt.h, or strtod with all its checks");
int scanf(const char *, ...) ATH_BANNED("strtoll or strtod: it does not notice overflow");
int sscanf(const char *, const char *, ...) ATH_BANNED("strtoll or strtod");

int rand(void) ATH_BANNED("core/rng.h");
void srand(unsigned) ATH_BANNED("core/rng.h");
int rand_r(unsigned *) ATH_BANNED("core/rng.h");
long random(void) ATH_BANNED("core/rng.h");
void srandom(unsigned) ATH_BANNED("core/rng.h");
double drand48(void) ATH_BANNED("core/rng.h");
char *strtok(char *, const char *) ATH_BANNED("strcspn");
char *strerror(int) ATH_BANNED("ath_sys, or strerror_r");
char *setlocale(int, const char *) ATH_BANNED("nothing: numbers are written one way only");

char *tmpnam(char *) ATH_BANNED("core/io/file.h");
char *tempnam(const char *, const char *) ATH_BANNED("core/io/file.h");
char *mktemp(char *) ATH_BANNED("core/io/file.h");

#endif
