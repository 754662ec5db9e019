#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

#include "data_tools/filters/boilerplate.h"

namespace ovid::data_tools::filters {

// What the frame of English web pages says. Lower case, no punctuation at the ends. A phrase is
// listed where a line of an article is hardly ever just this (`whole`), or hardly ever begins so
// and ends within `longest` bytes (`beginnings`): "We use cookies to improve ..." is a notice,
// while a paragraph about cookies goes on.
struct Phrases {
  LineKind kind;
  std::span<const std::string_view> whole;
  std::span<const std::string_view> beginnings;
  std::size_t longest;
};

inline constexpr std::string_view kConsentWhole[] = {"privacy policy",
                                                     "privacy notice",
                                                     "terms of use",
                                                     "terms of service",
                                                     "terms & conditions",
                                                     "terms and conditions",
                                                     "cookie policy",
                                                     "cookie settings",
                                                     "accept cookies",
                                                     "accept all cookies",
                                                     "manage preferences",
                                                     "do not sell my personal information",
                                                     "privacy policy | terms of use",
                                                     "terms of use | privacy policy",
                                                     "got it"};
inline constexpr std::string_view kConsentBeginnings[] = {"this site uses cookies",
                                                          "this website uses cookies",
                                                          "we use cookies",
                                                          "our site uses cookies",
                                                          "our website uses cookies",
                                                          "cookies help us deliver",
                                                          "by continuing to use this",
                                                          "by continuing to use our",
                                                          "by continuing to browse",
                                                          "by using this site",
                                                          "by using this website",
                                                          "by using our site",
                                                          "by using our website",
                                                          "by clicking accept",
                                                          "we and our partners use cookies",
                                                          "this site is protected by recaptcha"};

inline constexpr std::string_view kSharingWhole[] = {
    "share this",         "share this article", "share this story",   "share this post",
    "share this page",    "share this video",   "share this:",        "pin it",
    "tweet this",         "share it",           "share with friends", "print this article",
    "email this article", "send to a friend",   "email to a friend",  "share via email",
    "follow us",          "connect with us",    "stay connected",     "like this",
    "like loading",       "copy link"};
inline constexpr std::string_view kSharingBeginnings[] = {
    "share on facebook",  "share on twitter", "share on google",     "share on linkedin",
    "share on pinterest", "share on reddit",  "share on whatsapp",   "share on tumblr",
    "share this on ",     "share this with",  "share this article",  "share this story",
    "click to share on",  "click to email",   "follow us on ",       "follow me on ",
    "like us on ",        "find us on ",      "join us on facebook", "join us on twitter",
    "become a fan on ",   "tweet this",       "share via "};

inline constexpr std::string_view kSubscriptionWhole[] = {"subscribe",
                                                          "sign up",
                                                          "sign in",
                                                          "log in",
                                                          "login",
                                                          "register",
                                                          "newsletter",
                                                          "newsletters",
                                                          "my account",
                                                          "subscribe now",
                                                          "subscribe today",
                                                          "log out",
                                                          "sign up now",
                                                          "join now",
                                                          "free newsletter",
                                                          "forgot password",
                                                          "forgot your password",
                                                          "create account",
                                                          "log in | register",
                                                          "email address",
                                                          "remember me"};
inline constexpr std::string_view kSubscriptionBeginnings[] = {
    "sign up for our ",
    "sign up to our ",
    "sign up for the newsletter",
    "sign up to receive",
    "sign up for free",
    "sign up here",
    "subscribe to our ",
    "subscribe to receive",
    "subscribe to the newsletter",
    "subscribe for ",
    "get our newsletter",
    "get the newsletter",
    "enter your email",
    "your email address will not be published",
    "join our mailing list",
    "join our newsletter",
    "already a subscriber",
    "already a member",
    "already have an account",
    "don't have an account",
    "you must be logged in",
    "you must be a registered",
    "you need to be logged in",
    "please log in",
    "please sign in",
    "log in to comment",
    "log in to post",
    "login to comment",
    "sign in to comment",
    "log in or register",
    "login or register",
    "register or log in",
    "to continue reading, subscribe",
    "thank you for subscribing",
    "thanks for signing up",
    "get the latest news delivered"};

inline constexpr std::string_view kAdvertisementWhole[] = {"advertisement",
                                                           "advertisements",
                                                           "advertising",
                                                           "advert",
                                                           "ads",
                                                           "sponsored",
                                                           "sponsored content",
                                                           "sponsored links",
                                                           "sponsored post",
                                                           "promoted",
                                                           "promoted content",
                                                           "paid content",
                                                           "story continues",
                                                           "article continues",
                                                           "ad feedback",
                                                           "skip ad",
                                                           "report this ad",
                                                           "remove ads",
                                                           "scroll to continue",
                                                           "loading ad"};
inline constexpr std::string_view kAdvertisementBeginnings[] = {
    "story continues below",      "article continues below", "continue reading below",
    "advertisement continue",     "advertisement story",     "advertisement - ",
    "advertisement article",      "skip advertisement",      "continue reading the main story",
    "this story continues after", "scroll down to continue"};

inline constexpr std::string_view kNavigationWhole[] = {"home",
                                                        "menu",
                                                        "main menu",
                                                        "skip to content",
                                                        "back to top",
                                                        "top of page",
                                                        "read more",
                                                        "read full article",
                                                        "read full story",
                                                        "next page",
                                                        "previous page",
                                                        "next article",
                                                        "previous article",
                                                        "next post",
                                                        "previous post",
                                                        "continue reading",
                                                        "related articles",
                                                        "related stories",
                                                        "related posts",
                                                        "related content",
                                                        "related topics",
                                                        "you may also like",
                                                        "recommended for you",
                                                        "most read",
                                                        "most popular",
                                                        "most viewed",
                                                        "trending now",
                                                        "view comments",
                                                        "show comments",
                                                        "hide comments",
                                                        "load more",
                                                        "load more comments",
                                                        "about us",
                                                        "contact us",
                                                        "site map",
                                                        "sitemap",
                                                        "comments",
                                                        "leave a reply",
                                                        "leave a comment",
                                                        "post a comment",
                                                        "add a comment",
                                                        "write a comment",
                                                        "cancel reply",
                                                        "toggle navigation",
                                                        "view all",
                                                        "see all",
                                                        "view all posts",
                                                        "view gallery",
                                                        "click here",
                                                        "click to enlarge",
                                                        "search this site",
                                                        "search form",
                                                        "return to top",
                                                        "play video",
                                                        "view slideshow",
                                                        "table of contents",
                                                        "loading",
                                                        "close this window",
                                                        "permalink",
                                                        "filed under",
                                                        "more info",
                                                        "show more",
                                                        "show less"};
inline constexpr std::string_view kNavigationBeginnings[] = {"skip to main",
                                                             "skip to nav",
                                                             "skip to search",
                                                             "read more:",
                                                             "read more about:",
                                                             "related:",
                                                             "also read:",
                                                             "see also:",
                                                             "read also:",
                                                             "you might also like",
                                                             "you may also be interested",
                                                             "click here to read",
                                                             "click here to view",
                                                             "click here for more",
                                                             "more from this",
                                                             "next story:",
                                                             "previous story:",
                                                             "view all comments",
                                                             "jump to comments",
                                                             "comments are closed",
                                                             "comments are now closed",
                                                             "be the first to comment",
                                                             "there are no comments"};

inline constexpr std::array<Phrases, 5> kPhrases = {{
    {LineKind::kConsent, kConsentWhole, kConsentBeginnings, 200},
    {LineKind::kSharing, kSharingWhole, kSharingBeginnings, 100},
    {LineKind::kSubscription, kSubscriptionWhole, kSubscriptionBeginnings, 140},
    {LineKind::kAdvertisement, kAdvertisementWhole, kAdvertisementBeginnings, 80},
    {LineKind::kNavigation, kNavigationWhole, kNavigationBeginnings, 120},
}};

inline constexpr std::string_view kNetworks[] = {
    "facebook", "twitter",  "google+",     "google",   "linkedin",  "pinterest", "reddit",
    "whatsapp", "tumblr",   "stumbleupon", "digg",     "delicious", "flipboard", "instagram",
    "youtube",  "telegram", "rss",         "snapchat", "tweet"};
inline constexpr std::string_view kSharingWords[] = {
    "share", "email", "e-mail", "mail", "print",  "on",   "more", "pin", "it", "this",
    "link",  "copy",  "save",   "plus", "follow", "like", "and",  "+",   "&"};

// Of lines that say so anywhere.
inline constexpr std::string_view kScriptParts[] = {
    "enable javascript",          "javascript is disabled", "javascript is not enabled",
    "javascript must be enabled", "requires javascript",    "your browser does not support",
    "javascript to be enabled",   "turn on javascript"};

}  // namespace ovid::data_tools::filters
