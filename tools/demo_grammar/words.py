"""The lexicon as text: one lexeme a line, ``tags : German | English``, synonyms parted by `` / ``.

Nouns
    ``der Apfel, Äpfel``: article, singular, plural; ``*`` marks the weak declension (*den Jungen*).
    English plurals are given where they are irregular. A tag ``in=on`` names the prepositions of
    rest (*in* with the dative, *on*), ``zu>to`` those of motion; ``m`` and ``f`` are natural sex.
Verbs
    ``an·rufen (ruft, rief, gerufen)``: the dot parts a separable prefix; third person, preterite
    and participle are given where they are irregular, ``ist`` marks the auxiliary *sein*. English:
    past, participle and -ing form where irregular; ``+up`` is a particle that lets a pronoun pass.
    The tags are ``subject > argument > argument ; traits``: an argument is a case (``acc``,
    ``dat``), a preposition with its case and English counterpart (``auf:acc=for``) or ``at`` (a
    place that the verb needs), followed by the nouns that fit. Traits say what else fits:
    ``place``, ``goal``, ``ride``, ``pace`` and ``sound`` allow adverbials; ``stative`` and
    ``instant`` verbs have no progressive, ``event`` verbs cannot be planned, a ``lapse`` cannot
    be willed and ``whole`` verbs use up something known; of ``swap`` verbs the German dative is
    the English subject; ``to`` puts the English recipient last.
Phrases
    ``vor_1 zwei_2 Tagen_3 | two_2 days_3 ago_1``: words with the same number are counterparts, a
    word with the number 0 has none; without numbers all words belong together. ``-`` is no word.
"""

from __future__ import annotations

NOUNS = """
person adult m : der Mann, Männer | man, men
person adult f : die Frau, Frauen | woman, women
person m : der Junge*, Jungen | boy
person f : das Mädchen, Mädchen | girl
person n : das Kind, Kinder | child, children / kid
person kin family one m : der Vater, Väter | father / dad
person kin family one f : die Mutter, Mütter | mother / mum
person kin family m : der Bruder, Brüder | brother
person kin family f : die Schwester, Schwestern | sister
person kin family m : der Sohn, Söhne | son
person kin family f : die Tochter, Töchter | daughter
person kin family m : der Großvater, Großväter / der Opa, Opas | grandfather / grandpa
person kin family f : die Großmutter, Großmütter / die Oma, Omas | grandmother / grandma
person kin family m : der Onkel, Onkel | uncle
person kin family f : die Tante, Tanten | aunt
person kin m : der Freund, Freunde | friend
person kin m : der Nachbar*, Nachbarn | neighbour
person kin f : die Nachbarin, Nachbarinnen | neighbour
person kin m : der Kollege*, Kollegen | colleague
person job m : der Arzt, Ärzte / der Doktor, Doktoren | doctor / physician
person job f : die Ärztin, Ärztinnen | doctor
person job m : der Lehrer, Lehrer | teacher
person job f : die Lehrerin, Lehrerinnen | teacher
person job m : der Student*, Studenten | student
person job f : die Studentin, Studentinnen | student
person job m : der Verkäufer, Verkäufer | shop assistant
person job m : der Busfahrer, Busfahrer | bus driver
person job m : der Polizist*, Polizisten | police officer
person job m : der Zahnarzt, Zahnärzte | dentist
person job f : die Krankenschwester, Krankenschwestern | nurse
person m : der Gast, Gäste | guest / visitor
animal pet dog : der Hund, Hunde | dog
animal pet : die Katze, Katzen | cat
animal : der Vogel, Vögel | bird
animal : das Pferd, Pferde | horse
animal : die Maus, Mäuse | mouse, mice
animal : die Kuh, Kühe | cow
animal : das Schaf, Schafe | sheep, sheep
animal pet : das Kaninchen, Kaninchen | rabbit
food fruit : der Apfel, Äpfel | apple
food fruit : die Birne, Birnen | pear
food fruit : die Banane, Bananen | banana
food cooked : das Ei, Eier | egg
food cooked : die Kartoffel, Kartoffeln | potato, potatoes
food cooked : die Suppe, Suppen | soup
food cooked : die Gemüsesuppe, Gemüsesuppen | vegetable soup
food baked : der Kuchen, Kuchen | cake
food baked : der Apfelkuchen, Apfelkuchen | apple cake
food baked : der Schokoladenkuchen, Schokoladenkuchen | chocolate cake
food baked : das Brötchen, Brötchen | bread roll / roll
food baked mass : das Brot, Brote | bread
food mass : der Käse, Käse | cheese
food cooked mass : das Fleisch, Fleische | meat
food cooked mass : der Reis, Reise | rice
drink mass : das Wasser, Wasser | water
drink mass : der Kaffee, Kaffees | coffee
drink mass : der Tee, Tees | tea
drink mass : die Milch, Milch | milk
drink mass : der Wein, Weine | wine
drink mass : der Orangensaft, Orangensäfte | orange juice
thing read : das Buch, Bücher | book
thing read : die Zeitung, Zeitungen | newspaper / paper
thing read written : der Brief, Briefe | letter
thing read written : die Postkarte, Postkarten | postcard
thing read written : der Liebesbrief, Liebesbriefe | love letter
thing read : das Bilderbuch, Bilderbücher | picture book
text read written : die Geschichte, Geschichten | story
text read written : das Gedicht, Gedichte | poem
thing clothes : der Mantel, Mäntel | coat
thing clothes : der Regenmantel, Regenmäntel | raincoat
thing clothes : der Wintermantel, Wintermäntel | winter coat
thing clothes : das Hemd, Hemden | shirt
thing clothes : das Kleid, Kleider | dress
thing clothes : die Jacke, Jacken | jacket
thing clothes : der Hut, Hüte | hat
thing clothes : der Pullover, Pullover / der Pulli, Pullis | sweater / jumper
thing toy : der Ball, Bälle | ball
thing toy : die Puppe, Puppen | doll
thing : die Tasche, Taschen | bag
thing : der Schlüssel, Schlüssel | key
thing : der Hausschlüssel, Hausschlüssel | house key
thing : der Koffer, Koffer | suitcase
thing : der Regenschirm, Regenschirme | umbrella
thing : das Geschenk, Geschenke | present / gift
thing : die Kaffeetasse, Kaffeetassen | coffee cup
thing : das Messer, Messer | knife, knives
thing : das Bild, Bilder | picture
thing : die Blume, Blumen | flower
thing device : die Uhr, Uhren | watch
thing device : das Handy, Handys | phone / mobile phone
thing device : die Lampe, Lampen | lamp
device vehicle : das Auto, Autos / der Wagen, Wagen | car
device vehicle : das Fahrrad, Fahrräder / das Rad, Räder | bicycle / bike
public : der Bus, Busse | bus
public : der Zug, Züge | train
furniture seat auf=on : das Sofa, Sofas | sofa / couch
furniture seat auf=on : das Bett, Betten | bed
furniture seat auf=on : der Stuhl, Stühle | chair
furniture auf=on : der Tisch, Tische | table
furniture auf=on : der Küchentisch, Küchentische | kitchen table
furniture auf=on : der Schreibtisch, Schreibtische | desk
furniture auf=on : das Regal, Regale | shelf, shelves
opening : die Tür, Türen | door
opening : das Fenster, Fenster | window
opening unique : die Haustür, Haustüren | front door
opening unique : das Gartentor, Gartentore | garden gate
place room in=in in>into : die Küche, Küchen | kitchen
place room in=in in>into : das Wohnzimmer, Wohnzimmer | living room
place room in=in in>into : das Schlafzimmer, Schlafzimmer | bedroom
place room in=in in>to : das Büro, Büros | office
place outdoors in=in in>into : der Garten, Gärten | garden
place outdoors in=in in>to : der Park, Parks | park
place outdoors in=in in>into : der Wald, Wälder | forest / woods, woods
place outdoors an=at zu>to : der Strand, Strände | beach
place outdoors auf=on auf>to : der Bauernhof, Bauernhöfe | farm
place outdoors auf=on auf>to : der Spielplatz, Spielplätze | playground
place outdoors shop auf=at auf>to : der Markt, Märkte | market
place building in=in in>to : das Restaurant, Restaurants | restaurant
place building in=in in>to : das Café, Cafés | café
place building in=in in>to zu>to : die Bibliothek, Bibliotheken / die Bücherei, Büchereien | library
place building in=in in>to : das Museum, Museen | museum
place building in=in zu>to : das Krankenhaus, Krankenhäuser | hospital
place building shop in=in in>to zu>to : der Supermarkt, Supermärkte | supermarket
place building stop an=at zu>to : der Bahnhof, Bahnhöfe | railway station / station
place stop an=at zu>to : die Bushaltestelle, Bushaltestellen | bus stop
"""

VERBS = """
person animal ; place : schlafen (schläft, schlief, geschlafen) | sleep (slept, slept)
person ; place sound : lachen | laugh
person ; place sound : weinen | cry
person ; place : arbeiten | work
person ; place : tanzen | dance
person ; place sound : singen (singt, sang, gesungen) | sing (sang, sung)
dog ; place sound : bellen (bellt, bellte, gebellt) | bark
person ; event : auf·stehen (steht, stand, ist gestanden) | get up (got, got, getting)
person animal ; event : auf·wachen (ist) | wake up (woke, woken)
person animal ; event : ein·schlafen (schläft, schlief, ist geschlafen) | fall asleep (fell, fallen)
person public > at stop ; event : an·kommen (kommt, kam, ist gekommen) | arrive
public ; event : ab·fahren (fährt, fuhr, ist gefahren) | leave (left, left) / depart
person ; event : zurück·kommen (kommt, kam, ist gekommen) | come back (came, come) / return
person ; - : fern·sehen (sieht, sah, gesehen) | watch television
person > at shop ; - : ein·kaufen | shop (shopped, shopped, shopping)
person ; - : sich beeilen | hurry / hurry up
person ; place : sich aus·ruhen | rest
person ; event : sich setzen | sit down (sat, sat, sitting)
person ; goal pace : gehen (geht, ging, ist gegangen) | go (went, gone) / walk
person ; goal pace : laufen (läuft, lief, ist gelaufen) / rennen (rennt, rannte, ist gerannt) | \
run (ran, run, running)
person ; goal ride : fahren (fährt, fuhr, ist gefahren) | travel (travelled, travelled, travelling)\
 / go (went, gone)
person > acc person animal thing vehicle ; instant place : sehen (sieht, sah, gesehen) | \
see (saw, seen)
person > acc person animal public ; instant : hören | hear (heard, heard)
person > acc thing food drink vehicle ; place : kaufen | buy (bought, bought)
person > acc thing food vehicle ; - : verkaufen | sell (sold, sold)
person animal > acc food ; pace place : essen (isst, aß, gegessen) | eat (ate, eaten)
person > acc food ; pace whole : auf·essen (isst, aß, gegessen) | eat +up (ate, eaten)
person > acc drink ; pace place : trinken (trinkt, trank, getrunken) | drink (drank, drunk)
person > acc read ; place : lesen (liest, las, gelesen) | read (read, read)
person > acc written ; pace place : schreiben (schreibt, schrieb, geschrieben) | \
write (wrote, written)
person > acc cooked ; - : kochen | cook
person > acc baked ; - : backen (backt, backte, gebacken) | bake
person > acc person animal thing ; place : suchen | look for / search for
person > acc animal thing ; instant place : finden (findet, fand, gefunden) | find (found, found)
person > acc thing ; instant lapse : verlieren (verliert, verlor, verloren) | lose (lost, lost)
person > acc thing ; instant lapse : vergessen (vergisst, vergaß, vergessen) | \
forget (forgot, forgotten)
person > acc clothes vehicle ; - : waschen (wäscht, wusch, gewaschen) | wash
person > acc room opening vehicle ; - : putzen | clean
person > acc device ; - : reparieren | repair / fix
person > acc opening ; pace sound : öffnen / auf·machen | open
person > acc opening ; pace sound : schließen (schließt, schloss, geschlossen) / zu·machen | \
close / shut (shut, shut, shutting)
person > acc person ; - : an·rufen (ruft, rief, gerufen) | call / phone
person > acc person ; - : ab·holen | pick +up
person > acc person ; - : ein·laden (lädt, lud, geladen) | invite
person > acc person ; - : besuchen | visit
person > acc person ; - : fragen | ask
person > acc person ; event place : treffen (trifft, traf, getroffen) | meet (met, met)
person > acc food thing ; - : mit·bringen (bringt, brachte, gebracht) | bring +along \
(brought, brought)
person > acc room ; - : auf·räumen | tidy +up
person > acc clothes ; pace : an·ziehen (zieht, zog, gezogen) | put +on (put, put, putting)
person > acc clothes ; pace : aus·ziehen (zieht, zog, gezogen) | take +off (took, taken)
person > acc thing ; - : weg·werfen (wirft, warf, geworfen) | throw +away (threw, thrown)
person > acc clothes ; - : tragen (trägt, trug, getragen) | wear (wore, worn)
person > acc animal outdoors building ; - : malen | paint
person > acc person animal building ; place : fotografieren | photograph
person > acc thing food drink ; - : holen | get (got, got, getting) / fetch
person > acc person building ; stative : kennen (kennt, kannte, gekannt) | know (knew, known)
person > acc person animal ; stative : lieben | love
person > acc person food animal ; stative : mögen (mag, mochte, gemocht) | like
person > acc thing vehicle ; stative : brauchen | need
person > acc animal thing vehicle ; stative : haben (hat, hatte, gehabt) | have (had, had)
person > acc person text ; stative : verstehen (versteht, verstand, verstanden) | \
understand (understood, understood)
person > dat person ; place : helfen (hilft, half, geholfen) | help
person > dat person ; - : danken | thank
person animal > dat person animal ; pace : folgen (ist) | follow
person > dat person ; - : zu·hören | listen to
person > dat person > acc thing food ; - : geben (gibt, gab, gegeben) | give (gave, given)
person > dat person > acc thing ; - : schenken | give (gave, given)
person > dat person > acc thing animal ; - : zeigen | show (showed, shown)
person > dat person > acc food drink thing ; - : bringen (bringt, brachte, gebracht) | \
bring (brought, brought)
person > dat person > acc thing ; - : schicken | send (sent, sent)
person > dat person > acc text ; - : erzählen | tell (told, told)
person > dat person > acc text ; to : erklären | explain
person > dat person > acc text ; to sound : vor·lesen (liest, las, gelesen) | read (read, read)
person > auf:acc=for person public ; place : warten | wait
person > an:acc=of person ; - : denken (denkt, dachte, gedacht) | think (thought, thought)
person > mit:dat=to person ; place sound : sprechen (spricht, sprach, gesprochen) / reden | \
talk / speak (spoke, spoken)
person > mit:dat=with person animal toy ; place : spielen | play
person > auf:acc=to person ; - : sich freuen | look forward
person > an:acc= person ; stative : sich erinnern | remember
person > auf:acc=after person animal ; - : auf·passen | look
person > at city ; stative : wohnen | live
person > at place city ; - : bleiben (bleibt, blieb, ist geblieben) | stay
person pet > at seat ; - : sitzen (sitzt, saß, gesessen) | sit (sat, sat, sitting)
pet > at seat ; - : liegen (liegt, lag, gelegen) | lie (lay, lain, lying)
thing > dat person ; swap stative : gefallen (gefällt, gefiel, gefallen) | like
food drink > dat person ; swap stative : schmecken | like
weather ; weather : regnen | rain
weather ; weather : schneien | snow
person animal ; be stative : sein (ist, war, ist gewesen) | be (was, been)
person pet ; exist : sein (ist, war, ist gewesen) / sitzen (sitzt, saß, gesessen) | \
be (was, been)
thing food ; exist : liegen (liegt, lag, gelegen) | be (was, been)
person ; say : sagen | say (said, said)
person ; say stative : glauben | believe / think (thought, thought)
person ; say stative : wissen (weiß, wusste, gewusst) | know (knew, known)
person ; say stative wish : hoffen | hope
person ; wonder stative : sich fragen | wonder
person ; plan : versuchen | try
person ; plan stative : vergessen (vergisst, vergaß, vergessen) | forget (forgot, forgotten)
person ; plan : vor·haben (hat, hatte, gehabt) | plan (planned, planned, planning)
person ; plan : an·fangen (fängt, fing, gefangen) / beginnen (beginnt, begann, begonnen) | \
start / begin (began, begun, beginning)
"""

ADJECTIVES = """
person animal thing vehicle building : alt, älter | old, older
person animal : jung, jünger | young, younger
thing furniture device building : neu, neuer | new, newer
person animal thing furniture building vehicle : klein, kleiner | small, smaller / little
animal furniture building vehicle : groß, größer | big, bigger / large, larger
person : nett, netter | nice, nicer / kind, kinder
person animal : freundlich, freundlicher | friendly, friendlier
person animal : klug, klüger | clever, cleverer / smart, smarter
person animal ; state graded : müde (müd) | tired
person animal ; state graded : hungrig | hungry
person animal ; state graded : krank | ill / sick
person ; state graded : glücklich | happy
person ; state graded : traurig | sad
person ; state graded : nervös | nervous
thing clothes vehicle room outdoors building : schön, schöner | beautiful, more beautiful
thing vehicle furniture : teuer (teur), teurer | expensive, more expensive
thing vehicle furniture : billig, billiger | cheap, cheaper
device vehicle ; state : kaputt | broken
clothes vehicle opening ; state graded : schmutzig | dirty
clothes vehicle opening ; state graded : sauber | clean
clothes toy vehicle opening furniture : rot | red
clothes toy vehicle opening furniture : blau | blue
clothes toy vehicle opening furniture : grün | green
clothes dog vehicle furniture : schwarz | black
clothes dog vehicle furniture : weiß | white
read : interessant, interessanter | interesting, more interesting
read : spannend, spannender | exciting, more exciting
read : langweilig, langweiliger | boring, more boring
read : lang, länger | long, longer
food : lecker, leckerer | delicious, more delicious / tasty, tastier
fruit baked : frisch, frischer | fresh, fresher
drink : kalt, kälter | cold, colder
room outdoors : ruhig, ruhiger | quiet, quieter
"""

NAMES = """
person f : Anna | Anna
person f : Maria | Maria
person f : Julia | Julia
person f : Lena | Lena
person m : Peter | Peter
person m : Paul | Paul
person m : Jan | Jan
person m : Martin | Martin
person m title : Herr_1 Müller_2, Herrn_1 Müller_2 | Mr_1 Müller_2
person f title : Frau_1 Schneider_2 | Mrs_1 Schneider_2 / Ms_1 Schneider_2
city n in=in nach>to : Berlin | Berlin
city n in=in nach>to : München | Munich
city n in=in nach>to : Wien | Vienna
city n in=in nach>to : Köln | Cologne
city n in=in nach>to : Italien | Italy
"""

NUMBERS = """
zwei | two
drei | three
vier | four
fünf | five
sechs | six
sieben | seven
acht | eight
neun | nine
zehn | ten
"""

PHRASES = """
past : gestern | yesterday
past : gestern_1 Abend_2 | yesterday_1 evening_2 / last_1 night_2
past : letzte_1 Woche_2 | last_1 week_2
past : heute_1 Morgen_2 | this_1 morning_2
past : vor_1 {n}_2 Tagen_3 | {n}_2 days_3 ago_1
past : vor_1 {n}_2 Wochen_3 | {n}_2 weeks_3 ago_1
past : vor_1 {n}_2 Jahren_3 | {n}_2 years_3 ago_1
past future : heute | today
past future : am_1 Montag_2 | on_1 Monday_2
past future : am_1 Freitag_2 | on_1 Friday_2
past future : am_1 Samstag_2 / am_1 Sonnabend_2 | on_1 Saturday_2
past future : am_1 Sonntag_2 | on_1 Sunday_2
past future : um_1 {n}_2 Uhr_3 | at_1 {n}_2 o'clock_3
future : morgen | tomorrow
future : morgen_1 früh_2 | tomorrow_1 morning_2
future : nächste_1 Woche_2 | next_1 week_2
future : bald | soon
future : heute_1 Abend_2 | this_1 evening_2 / tonight_12
now : jetzt | now
now : gerade | right now / at the moment
habit : jeden_1 Tag_2 | every_1 day_2
habit : jede_1 Woche_2 | every_1 week_2
habit : am_12 Abend_3 / abends_123 | in_1 the_2 evening_3
habit : am_12 Wochenende_3 | at_1 the_2 weekend_3
habit : im_12 Sommer_3 | in_1 the_2 summer_3 / in_1 summer_3
often : oft | often
often : immer | always
often : manchmal | sometimes
often : nie / niemals | never
often : meistens | usually
also : auch | also
already : schon | already
still : noch / immer noch | still
finally : endlich | finally
pace : schnell | quickly
pace : langsam | slowly
pace : vorsichtig | carefully
sound : leise | quietly
sound : laut | loudly
place : zu_1 Hause_2 | at_1 home_2
place : hier | here
place : draußen | outside
goal : nach Hause | home
goal : in_1 die_0 Stadt_2 | into_1 town_2
goal : zur_1 Schule_2 / in_1 die_0 Schule_2 | to_1 school_2
ride : mit_1 dem_0 Bus_2 | by_1 bus_2
ride : mit_1 dem_0 Zug_2 | by_1 train_2
ride : mit_1 dem_0 Auto_2 | by_1 car_2
comment : leider | unfortunately_1 ,_0
comment : vielleicht | perhaps / maybe
comment : zum Glück | fortunately_1 ,_0 / luckily_1 ,_0
comment : natürlich | of_1 course_1 ,_0
degree : sehr | very
degree : zu | too
degree : ziemlich | quite
cause : weil / da | because
cause : obwohl | although / even though
during : während | while
when : wenn | when
if : wenn / falls | if
before : bevor | before
if : sobald | as soon as
once : als | when
that : dass | that
that : dass_0 | -
whether : ob | whether / if
and : und | and
but : aber | but
please : bitte | please
where : wo | where
whither : wohin | where
time : wann | when
why : warum / wieso | why
"""

# ja, doch, denn and mal colour a sentence; English has no word for them.
PARTICLES = {"statement": ("ja", "doch"), "question": ("denn",), "request": ("mal", "doch")}
